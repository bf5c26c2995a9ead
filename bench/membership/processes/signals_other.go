//go:build !linux

package main

import (
	"errors"
	"os"
	"syscall"
)

// Without the death signal of Linux a stopped process would outlive its parent: elsewhere nothing is stopped.
func endsWithParent() *syscall.SysProcAttr { return nil }

func stop(*os.Process) error { return errors.ErrUnsupported }
func goOn(*os.Process) error { return errors.ErrUnsupported }
