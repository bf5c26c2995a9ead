package pace

import "time"

// Each bounds what is done in a second for each of many. The zero value is ready. It has no more entries than there
// are callers in that second: these must be bounded.
type Each[K comparable] struct {
	until time.Time // the end of the present second
	count map[K]int
}

// Take counts what somebody wants, and reports whether that is one of so many in a second.
func (e *Each[K]) Take(now time.Time, who K, most int) bool {
	if e.count == nil || !now.Before(e.until) {
		e.until, e.count = now.Add(time.Second), make(map[K]int)
	}
	e.count[who]++
	return e.count[who] <= most
}
