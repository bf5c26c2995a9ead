package broach

import (
	"slices"
	"time"
)

// What users see of the breakers, in Stats and Watch.

// breakerForgiven is how long after its last failure a breaker that nobody tries any more counts as closed.
const breakerForgiven = time.Minute

// noteCircuit tells the loop that a breaker of the peer opened or closed. It never blocks: the breaker is locked.
func (l *link) noteCircuit() {
	l.tripped.Store(true)
	l.circuits.Store(true)
	l.timers.wakeBy(1)
}

// noteCircuits has the view made anew when a breaker opened or closed, and now and then while one is open.
func (n *Node) noteCircuits(now time.Time) {
	changed := n.circuits.Swap(false)
	if !changed && (n.circuitsAt.IsZero() || now.Before(n.circuitsAt)) {
		return
	}
	n.circuitsAt = now.Add(breakerForgiven)
	n.publishSoon()
}

// showCircuits puts the open breakers into a view that is being made.
func (n *Node) showCircuits(now time.Time, peers []peerView) {
	if n.circuitsAt.IsZero() {
		return
	}
	found := false
	for i := range peers {
		if l := n.links.get(peers[i].boot); l != nil {
			peers[i].open = l.openCircuits(now)
			found = found || len(peers[i].open) > 0
		}
	}
	if !found {
		n.circuitsAt = time.Time{}
	}
}

// openCircuits lists the functions whose breaker at the peer is not closed, sorted.
func (l *link) openCircuits(now time.Time) (names []string) {
	if !l.tripped.Swap(false) {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, e := range l.experiences {
		if e.isOpen(now) {
			names = append(names, name)
		}
	}
	if len(names) > 0 {
		l.tripped.Store(true)
	}
	slices.Sort(names)
	return names
}

// isOpen reports whether there is a breaker that is not closed. One that is forgiven is dropped.
func (e *experience) isOpen(now time.Time) bool {
	b := e.breaker.Load()
	switch {
	case b == nil || b.isClosed():
		return false
	case now.Sub(b.since)-time.Duration(b.latest.Load()) < breakerForgiven:
		return true
	}
	e.breaker.CompareAndSwap(b, nil)
	return false
}

// forgive drops the breakers of a peer that the membership has found to be away: that explains the failures. mu is held.
func (l *link) forgive() {
	for _, e := range l.experiences {
		e.breaker.Store(nil)
	}
	if l.tripped.Load() {
		l.noteCircuit()
	}
}

// diffCircuits walks two sorted lists of functions with an open breaker and yields what opened and closed.
func diffCircuits(was, is *peerView, yield func(EventKind, string) bool) bool {
	for _, name := range was.open {
		if _, still := slices.BinarySearch(is.open, name); !still && !yield(CircuitClosed, name) {
			return false
		}
	}
	for _, name := range is.open {
		if _, already := slices.BinarySearch(was.open, name); !already && !yield(CircuitOpened, name) {
			return false
		}
	}
	return true
}
