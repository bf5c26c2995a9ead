// Package pace says when something is due and how often it may be. It is small on purpose: rooms do not own timers,
// they say when they want to be stepped next, and the earliest of many such times is what the loop of a node waits for.
//
// A zero time means never in all of broach. Earliest knows that; Later has no need to.
//
// It reads no clock and starts nothing: the time is an argument. Only a LogLimit takes a lock, for many goroutines
// write to the log.
//
//	pace.go      Earliest, Later, and Allowance: so many in a second
//	each.go      Each: so many in a second for each of several
//	loglimit.go  LogLimit: how many lines of one sort are logged, and how many were not
package pace

import "time"

// Earliest returns the earlier of two times, where the zero time means never.
func Earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// First returns the earliest of some times, of which the zero time means never.
func First(times ...time.Time) (first time.Time) {
	for _, at := range times {
		first = Earliest(first, at)
	}
	return first
}

// Later returns the later of two times.
func Later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// An Allowance bounds what is done in a second. The zero value is ready.
type Allowance struct {
	until time.Time // the end of the present second
	spent int
}

// Take reports whether one more is allowed of so many in a second.
func (a *Allowance) Take(now time.Time, most int) bool {
	if !now.Before(a.until) {
		a.until, a.spent = now.Add(time.Second), 0
	}
	if a.spent >= most {
		return false
	}
	a.spent++
	return true
}

// A Quota is an allowance of a second that is divided: some of it is kept for those who come first. The zero value is
// ready.
type Quota struct{ kept, all Allowance }

// Take reports whether one more is allowed: of all, or for who comes first of what is kept.
func (q *Quota) Take(now time.Time, isFirst bool, kept, all int) bool {
	return isFirst && q.kept.Take(now, kept) || q.all.Take(now, all)
}
