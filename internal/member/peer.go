package member

import (
	"container/heap"
	"net/netip"
	"slices"
	"time"

	"broach/internal/wire"
)

const leftKept = time.Minute // how long a peer that left is still shown

// peer is one process that was believed, and what we believe of it now.
type peer struct {
	wire.Process

	// What lists it needs: list.go, beat.go.
	listAt  moment // when it may be sent the whole List again
	mendAt  moment // likewise, because it believes in others than we do
	mended  uint8  // Lists sent to it since it last believed in the same as we
	differs bool   // the digest of its last beat was not ours

	// What it and we have said of ourselves: introduce.go.
	hellos  uint8  // sent to it since there was something new to say
	told    uint32 // version of our table that it was last sent
	seen    uint32 // and that it holds
	inc     uint32 // its incarnation, as it has said it; 0: it has not introduced itself yet
	helloAt moment // when a hello goes to it again; 0: it has seen all
	met     moment // when it was met first
	name    string
	extras  *extras // nil: it has none

	// Beats: beat.go. How it counts in the pulse: reach.go.
	beatBy  moment // when its next beat was promised for
	heardIn uint32 // the turn of the pulse in which it was last heard; 0: none, or it was late since
	lateIn  uint32 // likewise, in which it was found late
	rotates bool   // it has a place in the rotation of beats, until its turn comes, also if it is offline
	asked   bool   // whether it is there, after we were stopped; our incarnation says which answer counts

	// Its table: tables.go. A table that was refused is pulled as well: so the two are told apart.
	refused   bool            // it finds no room, or cannot be decoded
	tver      uint32          // version of functions; 0: none yet
	functions []wire.Function // nil until its table is known
	tableAt   moment          // when its next table may come, but for what it may run ahead
	pull      pull
	tableSize tableSize // of functions
	tableSeen uint32    // highest version in its headers

	// Its links: tie.go, ties.go.
	doubts uint8  // Offers that said it holds our link, since something was accepted on it
	anew   bool   // it has begun another since the birth of the best
	older  *[]tie // others, the best first, on which nothing new begins; nil: there are none
	tie    tie    // its best link

	// When it wants attention: due.go.
	waits    moment // for the time of its goAhead
	due      moment // its place in the heap
	position int    // in the heap; -1: removed
	goAhead  goAhead

	// What is believed of it: state.go, suspicion.go, ping.go. A member may be out of reach whether or not it is
	// suspect: that is about the path to it, and ends with a Pong alone. What it wishes is believed of it in any state.
	belief      belief
	unreachable bool // by us, [MEM-22]
	draining    bool // it is called no more, [MEM-27]
	trip        trip
	since       moment // when it came into the state
	heard       moment // when a datagram was last accepted from it
	probe       probe
	inquiry     *inquiry // nil: we never asked whether it is there
	accuser     *peer    // who is told when it answers; nil: nobody
	flaps       *flaps   // nil: it has never been offline
}

// extras are what few processes say of themselves.
type extras struct {
	version string
	tags    []wire.Tag
}

// extrasOf takes them out of a hello.
func extrasOf(h wire.Hello) *extras {
	if h.Version == "" && len(h.Tags) == 0 {
		return nil
	}
	return &extras{h.Version, h.Tags}
}

// more returns them.
func (p *peer) more() extras {
	if p.extras == nil {
		return extras{}
	}
	return *p.extras
}

// moment is a time of this membership, as nanoseconds since it began; 0 is none. It takes a third of a time.Time, of
// which a peer would have six: in a simulation of a thousand nodes there are a million peers.
type moment int64

func (m *Membership) moment(t time.Time) moment { return max(moment(t.Sub(m.began)), 1) }

// micros is a moment as the time between two Beats is measured: 71 minutes later it is the same again.
func (at moment) micros() uint32 { return uint32(at / 1000) }

// time is the opposite of moment; the zero time is none.
func (m *Membership) time(at moment) time.Time {
	if at == 0 {
		return time.Time{}
	}
	return m.began.Add(time.Duration(at))
}

// isMember reports whether the peer counts as being there.
func (p *peer) isMember() bool { return p.belief < believedOffline }

// isIntroduced reports whether a peer has said who it is: until then nobody is shown it, or told of it.
func (p *peer) isIntroduced() bool { return p.inc > 0 }

// nobody is shown in place of a peer that has not said who it is.
var nobody netip.AddrPort

// shown is where a peer is, for those who are shown it.
func (p *peer) shown() *netip.AddrPort {
	if p.isIntroduced() {
		return &p.Addr
	}
	return &nobody
}

func (p *peer) target() wire.Target { return wire.Target{Addr: p.Addr, Boot: p.Boot, Inc: p.inc} }

// View is the published form of a peer. It is not modified.
type View struct {
	Facts
	Tags      []wire.Tag
	Functions []wire.Function
}

// Facts are what can be compared.
type Facts struct {
	wire.Process
	Link        uint64 // the token of its best link; 0: none
	State       State
	Unreachable bool
	Unsteady    bool
	Draining    bool
	Tver        uint32
	Since       moment
	Accuser     *netip.AddrPort // who made a suspect one; nil: this node
	Name        string
	Version     string
}

// view is the published form of a peer: the one before, which may be of another or nil, if that says the same.
func (p *peer) view(before *View) *View {
	more := p.more()
	v := View{Tags: more.tags, Functions: p.functions, Facts: Facts{
		Process: p.Process, Link: p.tie.token, State: p.state(), Since: p.since, Unreachable: p.unreachable,
		Unsteady: p.isUnsteady(), Draining: p.draining,
		Name: p.name, Version: more.version, Tver: p.tver,
	}}
	if p.belief == accused {
		v.Accuser = p.accuser.shown()
	}
	if before != nil && before.saysAs(&v) {
		return before
	}
	return new(v)
}

// saysAs reports whether two views say the same.
func (v *View) saysAs(other *View) bool {
	return v.Facts == other.Facts && slices.Equal(v.Tags, other.Tags) && IsSameTable(v.Functions, other.Functions)
}

// peerSet finds peers by address and link, and by when they want attention.
type peerSet struct {
	byAddr map[netip.AddrPort]*peer
	byLink map[uint64]*peer // by the tokens of their links
	list   []*peer
	unsure bool // of its order: sorted puts it in that of the addresses
	heap   peerHeap
}

func (s *peerSet) init() {
	s.byAddr, s.byLink = make(map[netip.AddrPort]*peer), make(map[uint64]*peer)
}

func (s *peerSet) addPeer(p *peer) {
	s.byAddr[p.Addr] = p
	s.list, s.unsure = append(s.list, p), true
	heap.Push(&s.heap, p)
}

func (s *peerSet) removePeer(p *peer) {
	delete(s.byAddr, p.Addr)
	i := slices.Index(s.list, p)
	s.list = slices.Delete(s.list, i, i+1)
	heap.Remove(&s.heap, p.position)
	p.position = -1
}

// bindOnly makes a link the only one of a peer.
func (s *peerSet) bindOnly(p *peer, t tie) {
	p.tie, p.older, p.doubts = t, nil, 0
	s.byLink[t.token] = p
}

// named finds the peer that a message is about, if it is the process named.
func (s *peerSet) named(t wire.Target) *peer {
	if p := s.byAddr[t.Addr]; p != nil && p.Boot == t.Boot {
		return p
	}
	return nil
}

// tieOf is the link of a peer with a token.
func (p *peer) tieOf(token uint64) *tie {
	others := p.others()
	for i := range others {
		if others[i].token == token {
			return &others[i]
		}
	}
	return &p.tie
}

// links appends the tokens of the links of a peer.
func (p *peer) links(list []uint64) []uint64 {
	if p.tie.token != 0 {
		list = append(list, p.tie.token)
	}
	for _, t := range p.others() {
		list = append(list, t.token)
	}
	return list
}

// hasOther reports whether somebody else than p is there.
func (s *peerSet) hasOther(p *peer) bool {
	return slices.ContainsFunc(s.list, func(other *peer) bool { return other != p && other.isMember() })
}

// sorted lists the peers in order of address. Sorting late, once for many that come, halves the cost of joining a large
// cluster.
func (s *peerSet) sorted() []*peer {
	if s.unsure {
		slices.SortFunc(s.list, func(a, b *peer) int { return a.Addr.Compare(b.Addr) })
		s.unsure = false
	}
	return s.list
}
