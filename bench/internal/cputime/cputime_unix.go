//go:build unix

// Package cputime tells how long a process has had a processor.
package cputime

import (
	"syscall"
	"time"
)

// Used is what this process has used, in user and system mode.
func Used() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
