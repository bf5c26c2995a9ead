package broach

import (
	"broach/internal/member"
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

// standingOf is that of a peer.
func standingOf(p *member.View) standing {
	switch {
	case p.State == member.Left:
		return gone
	case p.State == member.Offline, p.Unreachable, p.Draining, p.Link == 0:
		return calledNever
	case p.State == member.Suspect, p.Unsteady:
		return calledLast
	}
	return calledFirst
}

// offersOf are the functions of a peer that are to be had, if only later. A nil peer is one that is not known.
func offersOf(p *member.View) []wire.Function {
	if p == nil || standingOf(p) == gone {
		return nil
	}
	return p.Functions
}

// isCalledLike reports whether two views of a peer differ in nothing but their functions, as far as routes can tell.
func isCalledLike(p, other *member.View) bool {
	return other != nil && standingOf(p) == standingOf(other) && p.Name == other.Name && p.Link == other.Link
}

// follow makes the routes of some peers those of what has become of them. connOf finds a link by its token, which everyone in to who
// is called has: it was made before the peer was shown.
func (t routeTable) follow(from, to []*member.View, connOf func(token uint64) *conn) routeTable {
	t.edition++
	for p, now := range member.Counterparts(from, to) {
		if now == nil { // first: another process may have come to the same address
			t.amend(peerRow{peer: p}, peerRow{}, true)
		}
	}
	for p, before := range member.Counterparts(to, from) {
		if p != before {
			t.amend(peerRow{peer: before}, peerRow{peer: p, link: connOf(p.Link)}, !isCalledLike(p, before))
		}
	}
	return t
}

// amend puts what a peer offers now in the place of what it did: all of it, or only the rows that differ.
func (t *routeTable) amend(was, is peerRow, all bool) {
	before, now := offersOf(was.peer), offersOf(is.peer)
	if !all && member.IsSameTable(before, now) {
		return
	}
	for old, row := range member.RowPairs(before, now) {
		if !all && old != nil && row != nil && *old == *row {
			continue
		}
		was.row, is.row = old, row
		t.amendRow(was, is)
	}
}

// amendRow does that for one function.
func (t *routeTable) amendRow(was, is peerRow) {
	name := member.NameOf(was.row, is.row)
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
