package main

import "sync/atomic"

// maxCalls is how many calls one server can tell apart: a minute of 800,000 a second.
const maxCalls = 1 << 26

// A tally counts which calls have run. It is safe for concurrent use.
type tally struct {
	seen           []atomic.Uint32 // a bit for each id
	runs, repeated atomic.Uint64
}

func newTally() *tally { return &tally{seen: make([]atomic.Uint32, maxCalls/32)} }

// note is called by each execution with the id of its call, which is under maxCalls.
func (t *tally) note(id int) {
	bit := uint32(1) << (id % 32)
	t.runs.Add(1)
	if t.seen[id/32].Or(bit)&bit != 0 {
		t.repeated.Add(1)
	}
}
