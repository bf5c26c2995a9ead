package member

import (
	"iter"
	"net/netip"
	"slices"
	"strings"
	"time"

	"broach/internal/wire"
)

// A State is what we believe of a peer, [MEM-13] to [MEM-19]. A process that nobody has met has none.
//
//	alive -> suspect     it answered no probe, nor a witness for it [MEM-13]
//	suspect -> alive     it was heard [MEM-17]
//	suspect -> offline   it was not heard until its time to refute was over [MEM-14]
//	alive -> offline     another process is at its address [LNK-10], or Offline was said of it and Pings are
//	                     in vain [MEM-30]
//	offline -> alive     it was heard [MEM-17]
//	any -> left          it said Leave [MEM-19]
type State uint8

const (
	Alive   State = iota // it answers
	Suspect              // it answers neither us nor a witness
	Offline              // it is contacted now and then
	Left                 // it is not, and is soon forgotten
)

// A belief is a State, and of a suspect peer also why it is suspect: so only that one has a reason. believe changes it.
//
//	believedAlive -> accused          another says so, and our first Pings are in vain [MEM-30]
//	accused -> doubted, doubtedAlone  so are all of them: the time to refute begins
type belief uint8

// Those of members come first.
const (
	believedAlive belief = iota
	accused              // suspect by another's word
	doubted              // suspect by our own probes, which all are told
	doubtedAlone         // likewise, though no witness says so: the others are not told [MEM-13]
	believedOffline
	hasLeft
)

// states are those that the beliefs amount to.
var states = [...]State{
	believedAlive:   Alive,
	accused:         Suspect,
	doubted:         Suspect,
	doubtedAlone:    Suspect,
	believedOffline: Offline,
	hasLeft:         Left,
}

func (p *peer) state() State { return states[p.belief] }

// News is what may become of a peer, for those who are told.
type News uint8

const (
	NewsUp News = iota // it was found, or is alive or reachable again
	NewsSuspect
	NewsOffline
	NewsLeft
	NewsUnreachable // by us, though it lives
)

func (n News) String() string {
	return [...]string{"up", "suspect", "offline", "left", "unreachable"}[n]
}

// News is what a state is to those who are told of it, of a peer that is reached.
func (s State) News() News {
	return [...]News{Alive: NewsUp, Suspect: NewsSuspect, Offline: NewsOffline, Left: NewsLeft}[s]
}

// news is what a peer is to those who are told of it. One that is alive may be out of reach from here.
func (p *peer) news() News {
	if p.state() == Alive && p.unreachable {
		return NewsUnreachable
	}
	return p.state().News()
}

// News is what is told of the peer.
func (v *View) News() News {
	if v.State == Alive && v.Unreachable {
		return NewsUnreachable
	}
	return v.State.News()
}

func (s State) String() string { return [...]string{"alive", "suspect", "offline", "left"}[s] }

// A member that goes and comes back again and again, because its processor is starved or its network is, is in use
// whenever it happens to be there: each time some calls are lost with it. So it is shown as unsteady and called last,
// [MEM-24].

const (
	flapsMax    = 3
	flapsWithin = time.Minute
	steadyAfter = 30 * time.Second
)

// flaps are what is remembered of a peer that went offline, and of the process before it at its address.
type flaps struct {
	at       [flapsMax]time.Time // the last times, the latest first
	unsteady bool                // they were too many, and steadyAfter is not over
}

// tooMany reports whether they make a peer unsteady.
func (f *flaps) tooMany() bool {
	first := f.at[flapsMax-1]
	return !first.IsZero() && f.at[0].Sub(first) <= flapsWithin
}

// isUnsteady reports that a peer is called last, [MEM-24].
func (p *peer) isUnsteady() bool { return p.flaps != nil && p.flaps.unsteady }

// steadyAt is when an unsteady peer may be trusted again; zero: it is steady.
func (p *peer) steadyAt() time.Time {
	if !p.isUnsteady() {
		return time.Time{}
	}
	return p.flaps.at[0].Add(steadyAfter)
}

// flap notes that a peer went offline.
func (p *peer) flap(now time.Time) {
	if p.flaps == nil {
		p.flaps = new(flaps)
	}
	f := p.flaps
	copy(f.at[1:], f.at[:])
	f.at[0] = now
	f.unsteady = f.tooMany()
}

// What has changed between two views of the peers, and between two tables of a peer.

// RowChange is what became of a function that a peer offers.
type RowChange uint8

const (
	RowAdded RowChange = iota
	RowRemoved
	RowPaused // it does not serve
	RowResumed
)

// RowChanges walks the tables of two views of a peer and yields what was added and removed, and what stopped serving or
// serves again. The protocol's own functions are not among them.
func RowChanges(was, is *View) iter.Seq2[RowChange, string] {
	return func(yield func(RowChange, string) bool) {
		if IsSameTable(was.Functions, is.Functions) {
			return
		}
		for old, row := range RowPairs(was.Functions, is.Functions) {
			name := NameOf(old, row)
			for _, change := range changesOf(old, row) {
				if !wire.IsOwn(name) && !yield(change, name) {
					return
				}
			}
		}
	}
}

// changesOf is what became of a row; the one that is not there is nil.
func changesOf(old, row *wire.Function) []RowChange {
	switch {
	case row == nil:
		return []RowChange{RowRemoved}
	case old == nil && row.Paused:
		return []RowChange{RowAdded, RowPaused}
	case old == nil:
		return []RowChange{RowAdded}
	case !old.Paused && row.Paused:
		return []RowChange{RowPaused}
	case old.Paused && !row.Paused:
		return []RowChange{RowResumed}
	}
	return nil
}

// NameOf is the name of a row that was or is there.
func NameOf(was, is *wire.Function) string {
	if is == nil {
		return was.Name
	}
	return is.Name
}

// IsSameTable reports whether two tables are one and the same: a table is not modified.
func IsSameTable(a, b []wire.Function) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// RowPairs walks two tables and yields the rows of each name. A row that only one of them has comes with nil.
func RowPairs(a, b []wire.Function) iter.Seq2[*wire.Function, *wire.Function] {
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

// compareFirst says in which of two tables, of which one may be empty, the lower name is the first: -1, 1, or 0 for
// both.
func compareFirst(a, b []wire.Function) int {
	switch {
	case len(b) == 0:
		return -1
	case len(a) == 0:
		return 1
	}
	return strings.Compare(a[0].Name, b[0].Name)
}

// Counterparts walks two lists of peers, sorted by address, and yields each of the first with the view of the same
// process in the second; nil if there is none.
func Counterparts(a, b []*View) iter.Seq2[*View, *View] {
	return func(yield func(a, b *View) bool) {
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

// WhoAt is who has an address in a list that is sorted by address; nil if nobody.
func WhoAt(list []*View, addr netip.AddrPort) *View {
	i, ok := slices.BinarySearchFunc(list, addr,
		func(v *View, addr netip.AddrPort) int { return v.Addr.Compare(addr) })
	if !ok {
		return nil
	}
	return list[i]
}

// whoAt is who has an address in a list, of which it cuts off those before it; nil if nobody.
func whoAt(rest *[]*View, addr netip.AddrPort) *View {
	for len(*rest) > 0 && (*rest)[0].Addr.Compare(addr) < 0 {
		*rest = (*rest)[1:]
	}
	if len(*rest) > 0 && (*rest)[0].Addr == addr {
		return (*rest)[0]
	}
	return nil
}
