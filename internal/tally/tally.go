// Package tally counts calls under names: how many have ended, with which codes, and how long they took.
//
// A Cell is one name. Who makes or serves a call tells its Cell when that begins and when it ends; anybody may take a
// Snapshot meanwhile. A Table finds the Cell of a name, and bounds how many there are: strangers choose names.
//
// Counting is part of every call, so it is three or four atomic additions, without a lock and without an allocation.
// Where many processors count under one name, each would wait for the memory that another has just written to: so a
// Cell that is called often has several stripes, in cache lines of their own, and a call takes one of them
// (histogram.go). Most names are called seldom, and have one stripe in place of one for each processor.
//
// It is told the time, by any clock that does not go back.
//
// Files: tally.go, a Cell; histogram.go, how its times are kept; codes.go, its failures; table.go, names.
package tally

import (
	"sync/atomic"
	"time"
)

// A Cell counts the calls of one name at one end. It may be used by many goroutines at once; who counts does not
// allocate. A nil Cell counts nothing: it is that of calls which the nodes make for themselves.
type Cell struct {
	took    striped
	waited  *striped // nil: calls are made at this end, not served
	retries atomic.Uint64
	failed  failures
}

// newCell returns a Cell without any calls. isServed says that they are served at this end.
func newCell(isServed bool) *Cell {
	c := new(Cell)
	if isServed {
		c.waited = new(striped)
	}
	return c
}

// Begin counts a call that begins where it is made. End or Withdraw must follow.
func (c *Cell) Begin(now time.Duration) {
	if c != nil && c.took.begin(now) {
		c.took.widen()
	}
}

// Serve counts a call that begins where it is served, and how long it has waited for that. End must follow.
func (c *Cell) Serve(now, waited time.Duration) {
	if c != nil && c.waited.add(now, waited) {
		c.took.widen()
		c.waited.widen()
	}
}

// Retry counts an attempt of a call beyond its first.
func (c *Cell) Retry() {
	if c != nil {
		c.retries.Add(1)
	}
}

// End counts a call that has begun and has ended, with a code; 0: well.
func (c *Cell) End(now, took time.Duration, code uint32) {
	if c == nil {
		return
	}
	c.took.add(now, took)
	c.Fail(code)
}

// Fail says that a call which has ended well has failed all the same: its caller could not use the results.
func (c *Cell) Fail(code uint32) {
	if c != nil && code != 0 {
		c.failed.add(code)
	}
}

// Withdraw takes back a Begin: the call is counted elsewhere, or not at all.
func (c *Cell) Withdraw(now time.Duration) {
	if c != nil {
		c.took.withdraw(now)
	}
}

// Refuse counts a call that has ended without having begun.
func (c *Cell) Refuse(now, took time.Duration, code uint32) {
	c.Begin(now)
	c.End(now, took, code)
}

// Snapshot is what a Cell has counted. Of two, the later has nothing less but Running.
type Snapshot struct {
	Calls   uint64            // ended: the sum of Latency.Counts
	Errors  map[uint32]uint64 // of them, by code; nil: none
	Retries uint64
	Running int
	Latency Histogram
	Waiting Histogram // of those that were served and have begun
}

// Snapshot returns what has been counted so far. A call is counted before its error is, and as begun before it has
// ended; here it is the other way round, so that no Snapshot has more errors than calls, or more ended than begun, but
// for a call that is being withdrawn.
func (c *Cell) Snapshot() Snapshot {
	s := Snapshot{Errors: c.failed.snapshot(), Retries: c.retries.Load(), Latency: c.took.snapshot()}
	s.Calls = s.Latency.total()
	begun := c.took.begun()
	if c.waited != nil {
		s.Waiting = c.waited.snapshot()
		begun += s.Waiting.total()
	}
	s.Running = max(int(begun-s.Calls), 0)
	return s
}
