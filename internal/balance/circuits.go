package balance

import (
	"slices"
	"sync/atomic"
	"time"
)

// Forgiven is how long after its last failure a breaker that nobody tries any more counts as closed.
const Forgiven = time.Minute

// Circuits tells the loop of breakers that opened or closed, which it is to publish.
type Circuits struct {
	Changed atomic.Bool // since it was last set to false
	Wake    func()      // wakes the loop; it never blocks
}

// tripping is who is told of a breaker that opens or closes.
type tripping struct {
	record *Record // of the provider
	news   *Circuits
}

// note says that it did. It never blocks: the breaker is locked.
func (t tripping) note() {
	t.record.tripped.Store(true)
	t.news.Changed.Store(true)
	t.news.Wake()
}

// OpenCircuits lists the functions whose breaker at the peer is not closed, sorted.
func (r *Record) OpenCircuits(now time.Time) (names []string) {
	if !r.tripped.Swap(false) {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, e := range r.experiences {
		if e.isOpen(now) {
			names = append(names, name)
		}
	}
	if len(names) > 0 {
		r.tripped.Store(true)
	}
	slices.Sort(names)
	return names
}

// Overloaded lists those of the functions with an open breaker at the peer where nothing but overload has opened it.
func (r *Record) Overloaded(open []string) (names []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range open {
		if e := r.experiences[name]; e != nil && e.isOverloaded() {
			names = append(names, name)
		}
	}
	return names
}

func (e *experience) isOverloaded() bool {
	b := e.breaker.Load()
	return b != nil && b.isOverloaded()
}

// isOpen reports whether there is a breaker that is not closed. One that is forgiven is dropped.
func (e *experience) isOpen(now time.Time) bool {
	b := e.breaker.Load()
	switch {
	case b == nil || b.isClosed():
		return false
	case now.Sub(b.since)-time.Duration(b.latest.Load()) < Forgiven:
		return true
	}
	e.breaker.CompareAndSwap(b, nil)
	return false
}

// Forgive drops the breakers of a peer that the membership has found to be away: that explains the failures.
func (r *Record) Forgive(news *Circuits) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.experiences {
		e.breaker.Store(nil)
	}
	if r.tripped.Load() {
		tripping{r, news}.note()
	}
}
