package link

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Timers knows the links that want to be stepped at some time, so that the loop looks at those alone and sleeps until
// the first is due. Times are nanoseconds since start, never 0.
type Timers struct {
	start time.Time
	wake  atomic.Int64  // when the loop looks next
	wakec chan struct{} // a wish to look earlier

	mu    sync.Mutex // protects fresh, which callers fill and the loop empties
	fresh []*Link

	armed []*Link // the loop's
}

func (t *Timers) init(start time.Time) {
	t.start, t.wakec = start, make(chan struct{}, 1)
}

// Stamp is a time as nanoseconds since start; 0 for the zero time.
func (t *Timers) Stamp(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return max(int64(at.Sub(t.start)), 1)
}

// time is the inverse of Stamp.
func (t *Timers) time(stamp int64) time.Time { return t.start.Add(time.Duration(stamp)) }

// addLink takes up a link that has become due at some time. It stays in the list, which is the loop's, until disarm
// finds, under the link's mutex, that it is not due any more.
func (t *Timers) addLink(l *Link) {
	t.mu.Lock()
	t.fresh = append(t.fresh, l)
	t.mu.Unlock()
}

// WakeBy makes the loop look no later than due.
func (t *Timers) WakeBy(due int64) {
	for {
		wake := t.wake.Load()
		if wake <= due {
			return
		}
		if t.wake.CompareAndSwap(wake, due) {
			break
		}
	}
	select {
	case t.wakec <- struct{}{}:
	default:
	}
}

// Woken is what gets a value when somebody wishes the loop to look.
func (t *Timers) Woken() <-chan struct{} { return t.wakec }

// Watch has every link that becomes due from here on wake the loop.
func (t *Timers) Watch() { t.wake.Store(math.MaxInt64) }

// Settle says when the loop looks next, unless a link asked for an earlier time since it set out to find that.
func (t *Timers) Settle(next int64) {
	for wake := t.wake.Load(); wake > next && !t.wake.CompareAndSwap(wake, next); wake = t.wake.Load() {
	}
}

// Run steps the links that are due. It returns when the next one is, zero if none, and the links whose peers leave
// calls unanswered.
func (t *Timers) Run(now time.Time) (next time.Time, silent []*Link) {
	t.mu.Lock()
	t.armed = append(t.armed, t.fresh...)
	clear(t.fresh)
	t.fresh = t.fresh[:0]
	t.mu.Unlock()
	stamp := t.Stamp(now)
	var first int64
	kept := t.armed[:0]
	for _, l := range t.armed {
		if due := l.dueAt.Load(); due != 0 && due <= stamp {
			if l.timeout(now) {
				silent = append(silent, l)
			}
		}
		if l.dueAt.Load() == 0 && l.disarm() {
			continue
		}
		kept = append(kept, l)
		if due := l.dueAt.Load(); due != 0 && (first == 0 || due < first) {
			first = due
		}
	}
	clear(t.armed[len(kept):])
	t.armed = kept
	if first == 0 {
		return time.Time{}, silent
	}
	return t.time(first), silent
}
