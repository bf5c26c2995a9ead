//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package usage

import (
	"syscall"
	"time"
)

// cpu is the processor time of this process, its own and what the system did for it.
func cpu() time.Duration {
	var used syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &used) != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
