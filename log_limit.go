package broach

import (
	"sync"
	"time"
)

// A stranger or a function can cause any number of log lines; this many a second are enough to see what is wrong.
const (
	logBurst = 5
	logEvery = time.Second
)

// logLimit lets few lines of one sort through and counts the others. The zero value is ready.
type logLimit struct {
	mu         sync.Mutex // protects all below: workers log, and none of them can own it
	until      time.Time  // the end of the present second
	spent      int        // lines let through in it
	suppressed int        // lines held back since one was let through
}

// allow reports whether a line may be logged now, and how many were suppressed before it.
func (l *logLimit) allow(now time.Time) (suppressed int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !now.Before(l.until) {
		l.until, l.spent = now.Add(logEvery), 0
	}
	if l.spent == logBurst {
		l.suppressed++
		return 0, false
	}
	l.spent++
	suppressed, l.suppressed = l.suppressed, 0
	return suppressed, true
}
