package main

import (
	"os"
	"syscall"
)

// endsWithParent has the system kill a process when its parent dies: one that is stopped would not notice the end of
// its input.
func endsWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

func stop(p *os.Process) error { return p.Signal(syscall.SIGSTOP) }
func goOn(p *os.Process) error { return p.Signal(syscall.SIGCONT) }
