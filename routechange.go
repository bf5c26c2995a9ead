package broach

import (
	"iter"
	"net/netip"
	"strings"

	"broach/internal/wire"
)

// How the routes follow the peers: what is done is in proportion to what has changed, and to the tables of those who have
// changed.

// standing says how the functions of a peer are called.
type standing uint8

const (
	calledFirst standing = iota
	calledLast           // when nobody else is left
	calledNever          // but it is known to offer them
	gone                 // it has left
)

func (p *peerView) standing() standing {
	switch {
	case p.state == stateLeft:
		return gone
	case p.state == stateOffline, p.unreachable, p.draining, p.link == 0:
		return calledNever
	case p.state == stateSuspect, p.unsteady:
		return calledLast
	}
	return calledFirst
}

// offers are the functions of a peer that are to be had, if only later. A nil peer is one that is not known.
func (p *peerView) offers() []wire.Function {
	if p == nil || p.standing() == gone {
		return nil
	}
	return p.functions
}

// isCalledLike reports whether two views of a peer differ in nothing but their functions, as far as routes can tell.
func (p *peerView) isCalledLike(other *peerView) bool {
	return other != nil && p.standing() == other.standing() && p.name == other.name && p.link == other.link
}

// follow makes the routes of some peers those of what has become of them. link finds a link by its token, which everyone in to who
// is called has: it was made before the peer was shown.
func (t routeTable) follow(from, to []*peerView, link func(token uint64) *link) routeTable {
	t.edition++
	for p, now := range counterparts(from, to) {
		if now == nil { // first: another process may have come to the same address
			t.amend(peerRow{peer: p}, peerRow{}, true)
		}
	}
	for p, before := range counterparts(to, from) {
		if p != before {
			t.amend(peerRow{peer: before}, peerRow{peer: p, link: link(p.link)}, !p.isCalledLike(before))
		}
	}
	return t
}

// amend puts what a peer offers now in the place of what it did: all of it, or only the rows that differ.
func (t *routeTable) amend(was, is peerRow, all bool) {
	before, now := was.peer.offers(), is.peer.offers()
	if !all && isSameTable(before, now) {
		return
	}
	for old, row := range rowPairs(before, now) {
		if !all && old != nil && row != nil && *old == *row {
			continue
		}
		was.row, is.row = old, row
		t.amendRow(was, is)
	}
}

// amendRow does that for one function.
func (t *routeTable) amendRow(was, is peerRow) {
	name := nameOf(was.row, is.row)
	r := t.own(name)
	r.amend(was, is)
	if isGrouped(name) {
		r.amendGroups(was, is)
	}
	if r.isEmpty() {
		t.remove(name)
	}
}

// own is the route of a name for this edition to change.
func (t *routeTable) own(name string) *route {
	r := t.get(name)
	if r != nil && r.edition == t.edition {
		return r
	}
	r = r.ownBy(t.edition, name)
	t.put(r)
	return r
}

// ownBy is a route that the edition may change: the route itself, a copy, or where there was none an empty one.
func (r *route) ownBy(edition uint64, name string) *route {
	switch {
	case r == nil:
		return &route{name: name, edition: edition}
	case r.edition == edition:
		return r
	}
	return r.copy(edition)
}

// nameOf is the name of a row that was or is there.
func nameOf(was, is *wire.Function) string {
	if is == nil {
		return was.Name
	}
	return is.Name
}

// isSameTable reports whether two tables are one and the same: a table is not modified.
func isSameTable(a, b []wire.Function) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// rowPairs walks two tables and yields the rows of each name. A row that only one of them has comes with nil.
func rowPairs(a, b []wire.Function) iter.Seq2[*wire.Function, *wire.Function] {
	return func(yield func(a, b *wire.Function) bool) {
		for len(a) > 0 || len(b) > 0 {
			var p, q *wire.Function
			first := compareFirst(a, b)
			if first <= 0 {
				p, a = &a[0], a[1:]
			}
			if first >= 0 {
				q, b = &b[0], b[1:]
			}
			if !yield(p, q) {
				return
			}
		}
	}
}

// compareFirst says in which of two tables, of which one may be empty, the lower name is the first: -1, 1, or 0 for both.
func compareFirst(a, b []wire.Function) int {
	switch {
	case len(b) == 0:
		return -1
	case len(a) == 0:
		return 1
	}
	return strings.Compare(a[0].Name, b[0].Name)
}

// counterparts walks two lists of peers, sorted by address, and yields each of the first with the view of the same process in
// the second; nil if there is none.
func counterparts(a, b []*peerView) iter.Seq2[*peerView, *peerView] {
	return func(yield func(a, b *peerView) bool) {
		for _, p := range a {
			other := whoAt(&b, p.Addr)
			if other != nil && other.Process != p.Process {
				other = nil
			}
			if !yield(p, other) {
				return
			}
		}
	}
}

// whoAt is who has an address in a list, of which it cuts off those before it; nil if nobody.
func whoAt(rest *[]*peerView, addr netip.AddrPort) *peerView {
	for len(*rest) > 0 && (*rest)[0].Addr.Compare(addr) < 0 {
		*rest = (*rest)[1:]
	}
	if len(*rest) > 0 && (*rest)[0].Addr == addr {
		return (*rest)[0]
	}
	return nil
}
