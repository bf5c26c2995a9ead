package broach

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"broach/internal/balance"
	"broach/internal/hamt"
	"broach/internal/member"
	"broach/internal/skew"
	"broach/internal/wire"
)

// view is what a node knows of the cluster at one moment. It is immutable and published as a whole; calls read it
// without a lock.
type view struct {
	self       netip.AddrPort // our address
	began      time.Time      // of this node's membership
	peers      []*member.View // sorted by address; who has not changed is the same as in the view before
	open       openCircuits
	routes     routeTable
	joined     bool
	joinedAt   time.Time // when that changed last
	isolated   bool
	host       uint64        // of a guest: the link to who is asked where functions are; 0: there is none
	heartbeats float64       // a second
	nextc      chan struct{} // closed when a newer view is published
}

// place is where this node stands among its peers.
func (v *view) place() int {
	at, _ := slices.BinarySearchFunc(v.peers, v.self,
		func(p *member.View, self netip.AddrPort) int { return p.Addr.Compare(self) })
	return at
}

// route is where a function can be called. It does not change after its view is published: the next view has it still,
// or a changed copy. The providers are sorted by address.
type route struct {
	name     string
	edition  uint64 // of the table that it was made for
	alive    []balance.Candidate
	doubtful []balance.Candidate // suspect or unsteady
	offline  int                 // providers that cannot be called now, or do not serve
	once     int                 // providers that do not say that it may run twice for one call
	groups   map[string]*route   // by application name, if the event of a topic goes to one of each; else nil
	misfits  balance.Misfits     // forgotten with the route: another table may offer it with another signature

	calling sync.Mutex  // held by the first call, which finds out what is known of the providers
	called  atomic.Bool // it has
}

// editionOf is what a process offers, as this view has it; zero: it is not in it.
func (v *view) editionOf(id wire.Process) skew.Edition {
	for _, p := range v.peers {
		if p.Process == id {
			return skew.Edition{Process: id, Table: p.Tver}
		}
	}
	return skew.Edition{}
}

// weightUnsaid is the weight of a provider that names none.
const weightUnsaid = 100

// candidates are all providers that a call could go to, without what is known of them: that may be being found out just
// now. A nil route has none.
func (r *route) candidates() []balance.Candidate {
	if r == nil {
		return nil
	}
	return append(unknownOf(r.alive), unknownOf(r.doubtful)...)
}

// isIdempotent reports whether all providers say that it may run twice for one call.
func (r *route) isIdempotent() bool { return r.once == 0 }

// isEmpty reports whether nobody offers the function, not even somebody who is offline.
func (r *route) isEmpty() bool { return len(r.alive)+len(r.doubtful)+r.offline == 0 }

// copy is a route to be changed for a table of an edition. What is known of the providers is found out again by the
// first call: here it may be being found out just now.
func (r *route) copy(edition uint64) *route {
	return &route{
		name: r.name, edition: edition, alive: unknownOf(r.alive), doubtful: unknownOf(r.doubtful),
		offline: r.offline, once: r.once, groups: maps.Clone(r.groups),
	}
}

// unknownOf copies candidates, without what is known of them.
func unknownOf(list []balance.Candidate) []balance.Candidate {
	all := make([]balance.Candidate, len(list), len(list)+1)
	for i := range list {
		all[i].Link, all[i].Record = list[i].Link, list[i].Record
		all[i].Weight, all[i].Signature, all[i].Table = list[i].Weight, list[i].Signature, list[i].Table
	}
	return all
}

// peerRow is a function that a peer offers.
type peerRow struct {
	peer *member.View
	row  *wire.Function // nil: it does not, or the peer has left
	link *conn          // of the peer; for one that is taken out it is not needed
}

// amend puts one offer of a peer in the place of another.
func (r *route) amend(was, is peerRow) {
	if was.row != nil {
		r.dropRow(was)
	}
	if is.row != nil {
		r.addRow(is)
	}
}

// addRow takes up an offer.
func (r *route) addRow(o peerRow) {
	if !o.row.Idempotent {
		r.once++
	}
	list := r.listOf(o)
	if list == nil || o.link == nil { // a peer is shown after its link was made, and not once that is closed
		r.offline++
		return
	}
	i, _ := search(*list, o.peer.Addr)
	*list = slices.Insert(*list, i, balance.Candidate{
		Link: &o.link.Link, Record: o.link.record, Weight: cmp.Or(int(o.row.Weight), weightUnsaid),
		Signature: o.row.Signature, Table: o.peer.Tver,
	})
}

// dropRow takes an offer out that was taken up.
func (r *route) dropRow(o peerRow) {
	if !o.row.Idempotent {
		r.once--
	}
	list := r.listOf(o)
	if list == nil {
		r.offline--
		return
	}
	i, ok := search(*list, o.peer.Addr)
	if !ok {
		r.offline-- // it had no link
		return
	}
	*list = slices.Delete(*list, i, i+1)
}

// listOf is the list that an offer belongs to; nil if it cannot be called.
func (r *route) listOf(o peerRow) *[]balance.Candidate {
	switch s := standingOf(o.peer); {
	case s == calledNever, o.row.Paused:
		return nil
	case s == calledLast:
		return &r.doubtful
	}
	return &r.alive
}

// search finds a provider by address.
func search(list []balance.Candidate, addr netip.AddrPort) (i int, ok bool) {
	return slices.BinarySearchFunc(list, addr, func(d balance.Candidate, addr netip.AddrPort) int {
		return d.Link.ID.Addr.Compare(addr)
	})
}

// pick chooses a provider by load, or nil if none is left. Suspect and unsteady ones are chosen only when nobody else
// is left; those in tried never.
func (r *route) pick(c *balance.Chooser) *balance.Record {
	r.know(c.Service, c.Now)
	return c.Pick(r.alive, r.doubtful)
}

// know finds out what is known of the providers, at the first call.
func (r *route) know(service string, now time.Time) {
	if r.called.Load() {
		return
	}
	r.calling.Lock()
	defer r.calling.Unlock()
	if !r.called.Load() {
		for _, list := range [][]balance.Candidate{r.alive, r.doubtful} {
			for i := range list {
				list[i].Know(service, now)
			}
		}
		r.called.Store(true)
	}
}

// How the routes follow the peers: what is done is in proportion to what has changed, and to the tables of those who
// have changed.

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

// routeTable finds routes by the names of their functions. A new view costs what has changed, and calls go on reading
// the one before without a lock.
type routeTable struct{ hamt.Table[route] }

// get is the route of a function, or nil.
func (t *routeTable) get(name string) *route { return t.Get(name) }

// follow makes the routes of some peers those of what has become of them. connOf finds a link by its token, which
// everyone in to who is called has: it was made before the peer was shown.
func (t routeTable) follow(from, to []*member.View, connOf func(token uint64) *conn) routeTable {
	t.Edition++
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
		t.Remove(name)
	}
}

// own is the route of a name for this edition to change.
func (t *routeTable) own(name string) *route {
	r := t.get(name)
	if r != nil && r.edition == t.Edition {
		return r
	}
	r = r.ownBy(t.Edition, name)
	t.Put(r.name, r)
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
