package broach

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"broach/internal/balance"
	"broach/internal/member"
	"broach/internal/wire"
)

// What users see of the breakers, in Stats and Watch.

// noteCircuits has the view made anew when a breaker opened or closed, and now and then while one is open.
func (n *Node) noteCircuits(now time.Time) {
	changed := n.circuits.Changed.Swap(false)
	if !changed && (n.circuitsAt.IsZero() || now.Before(n.circuitsAt)) {
		return
	}
	n.circuitsAt = now.Add(balance.Forgiven)
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
			open = open.with(p.Process, l.record.OpenCircuits(now))
		}
	}
	n.logCircuits(now, was, open)
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

// logCircuits tells the operator what opened and closed, also at processes that others have replaced.
func (n *Node) logCircuits(now time.Time, was, is openCircuits) {
	for _, id := range was.orIn(is) {
		diffCircuits(was[id], is[id], func(kind EventKind, service string) bool {
			if suppressed, ok := n.circuitLines.Allow(now); ok {
				n.log.Log(kind.level(), "broach: "+kind.String(), "addr", id.Addr, "service", service, "check", kind.remedy(), "suppressed", suppressed)
			}
			return true
		})
	}
}

// orIn lists the processes that are in either of two, by address.
func (o openCircuits) orIn(other openCircuits) []wire.Process {
	list := slices.AppendSeq(slices.Collect(maps.Keys(o)), maps.Keys(other))
	slices.SortFunc(list, func(a, b wire.Process) int {
		return cmp.Or(a.Addr.Compare(b.Addr), cmp.Compare(a.Boot, b.Boot))
	})
	return slices.Compact(list)
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
