//go:build unix

package main

import (
	"os"
	"os/exec"
	"syscall"
)

// terminate asks a program to leave.
const terminate = syscall.SIGTERM

// setApart puts a program into a group of its own: Ctrl-C reaches us alone, and we tell it.
func setApart(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// signalTo reaches also what the program has started, as a shell does.
func signalTo(c *exec.Cmd, sig os.Signal) error {
	return syscall.Kill(-c.Process.Pid, sig.(syscall.Signal))
}
