package broach

import "time"

// earliest returns the earlier of two times, where the zero time means never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// later returns the later of two times.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// An allowance bounds what is done in a second. The zero value is ready.
type allowance struct {
	Until time.Time // the end of the present second
	Spent int
}

// Take reports whether one more is allowed of so many in a second.
func (a *allowance) Take(now time.Time, most int) bool {
	if !now.Before(a.Until) {
		a.Until, a.Spent = now.Add(time.Second), 0
	}
	if a.Spent >= most {
		return false
	}
	a.Spent++
	return true
}
