package main

import (
	"runtime"
	"time"

	"broach/bench/internal/cputime"
)

// usage is what a process has used and done since it was started.
type usage struct {
	CPU     time.Duration
	Mallocs uint64

	Counted        bool   // whether there is a tally
	Runs, Repeated uint64 // executions that it saw, and those among them of a call that had run before
}

// usageNow is this process's, with what its tally saw if there is one.
func usageNow(t *tally) usage {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u := usage{CPU: cputime.Used(), Mallocs: m.Mallocs}
	if t != nil {
		u.Counted, u.Runs, u.Repeated = true, t.runs.Load(), t.repeated.Load()
	}
	return u
}
