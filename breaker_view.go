package broach

import (
	"slices"
	"sync/atomic"
	"time"

	"broach/internal/member"
	"broach/internal/wire"
)

// What users see of the breakers, in Stats and Watch.

// breakerForgiven is how long after its last failure a breaker that nobody tries any more counts as closed.
const breakerForgiven = time.Minute

// circuitNews tells the loop of breakers that opened or closed, which it is to publish.
type circuitNews struct {
	changed atomic.Bool
	wake    func() // the loop; it never blocks
}

// tripping is who is told of a breaker that opens or closes.
type tripping struct {
	record *record // of the provider
	news   *circuitNews
}

// note says that it did. It never blocks: the breaker is locked.
func (t tripping) note() {
	t.record.tripped.Store(true)
	t.news.changed.Store(true)
	t.news.wake()
}

// noteCircuits has the view made anew when a breaker opened or closed, and now and then while one is open.
func (n *Node) noteCircuits(now time.Time) {
	changed := n.circuits.changed.Swap(false)
	if !changed && (n.circuitsAt.IsZero() || now.Before(n.circuitsAt)) {
		return
	}
	n.circuitsAt = now.Add(breakerForgiven)
	n.publishSoon()
}

// openCircuits are the functions whose breaker at a peer is not closed, sorted; nil: there are none.
type openCircuits map[wire.Process][]string

// findCircuits finds them for a view that is being made, and tells the operator of those that opened and closed.
func (n *Node) findCircuits(now time.Time, peers []*member.View, was openCircuits) (open openCircuits) {
	if n.circuitsAt.IsZero() {
		return nil
	}
	for _, p := range peers {
		if l := n.tokens.link(p.Link); l != nil {
			open = open.with(p.Process, l.record.openCircuits(now))
		}
		n.logCircuits(now, p, was[p.Process], open[p.Process])
	}
	if open == nil {
		n.circuitsAt = time.Time{}
	}
	return open
}

// with adds those at one peer.
func (o openCircuits) with(id wire.Process, names []string) openCircuits {
	switch {
	case len(names) == 0:
		return o
	case o == nil:
		o = make(openCircuits)
	}
	o[id] = names
	return o
}

// logCircuits tells the operator what opened and closed at a peer.
func (n *Node) logCircuits(now time.Time, p *member.View, was, is []string) {
	diffCircuits(was, is, func(kind EventKind, service string) bool {
		if suppressed, ok := n.circuitLines.Allow(now); ok {
			n.log.Log(kind.level(), "broach: "+kind.String(), "addr", p.Addr, "service", service, "check", kind.remedy(), "suppressed", suppressed)
		}
		return true
	})
}

// openCircuits lists the functions whose breaker at the peer is not closed, sorted.
func (r *record) openCircuits(now time.Time) (names []string) {
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

// forgive drops the breakers of a peer that the membership has found to be away: that explains the failures.
func (r *record) forgive(news *circuitNews) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.experiences {
		e.breaker.Store(nil)
	}
	if r.tripped.Load() {
		tripping{r, news}.note()
	}
}

// diffCircuits walks two sorted lists of functions with an open breaker and yields what opened and closed.
func diffCircuits(was, is []string, yield func(EventKind, string) bool) bool {
	for _, name := range was {
		if _, still := slices.BinarySearch(is, name); !still && !yield(CircuitClosed, name) {
			return false
		}
	}
	for _, name := range is {
		if _, already := slices.BinarySearch(was, name); !already && !yield(CircuitOpened, name) {
			return false
		}
	}
	return true
}
