//go:build !unix

package main

import (
	"os"
	"os/exec"
)

// terminate ends a program: there is no way to ask.
var terminate = os.Kill

func setApart(*exec.Cmd) {}

func signalTo(c *exec.Cmd, _ os.Signal) error { return c.Process.Kill() }
