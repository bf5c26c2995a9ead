//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package usage

import "time"

// cpu is 0: nothing that all these systems have tells the processor time of a process.
func cpu() time.Duration { return 0 }
