package pace

import (
	"sync"
	"time"
)

// logBurst is how many lines of one sort a second are enough to see what is wrong: a stranger or a function can cause
// any number.
const logBurst = 5

// LogLimit lets few lines of one sort through and counts the others. The zero value is ready.
type LogLimit struct {
	mu         sync.Mutex // protects all below: workers log, and none of them can own it
	passed     Allowance
	suppressed int // lines held back since one was let through
}

// Allow reports whether a line may be logged now, and how many were suppressed before it.
func (l *LogLimit) Allow(now time.Time) (suppressed int, ok bool) { return l.AllowOf(now, logBurst) }

// AllowOf is allow with so many lines in a second.
func (l *LogLimit) AllowOf(now time.Time, most int) (suppressed int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.passed.Take(now, most) {
		l.suppressed++
		return 0, false
	}
	suppressed, l.suppressed = l.suppressed, 0
	return suppressed, true
}
