package broach

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"broach/internal/balance"
	"broach/internal/member"
	"broach/internal/wire"
)

// Stats has a node's counters, which only rise from its start, and its state.
type Stats struct {
	DatagramsIn, DatagramsOut uint64
	BytesIn, BytesOut         uint64 // payload
	SendErrors                uint64 // datagrams the system did not take

	Malformed      uint64 // datagrams or messages that are not of the protocol, or were cut off
	ForeignVersion uint64 // datagrams of another version of the protocol
	OtherCluster   uint64 // datagrams that ask for a link in another cluster
	Replayed       uint64 // datagrams that had come before
	Strangers      uint64 // datagrams with a token that is none of ours: the sender has no link here, or none any more
	Unanswered     uint64 // datagrams that ask for a link, unanswered: too many at once, or no room for another peer
	UnknownKinds   uint64 // messages of kinds that this version does not know
	// Unopened are datagrams of our cluster that no key of ours opens, or that are not sealed though we have keys, or
	// the other way round
	Unopened      uint64
	Unusable      uint64 // introductions with an address that is out of reach here, as another host's 127.0.0.1
	TablesRefused uint64 // service tables without room beside others, or unreadable: their functions are not called
	InboxOverflow uint64 // membership messages dropped because too many came at once
	// Guests are processes that call this one and are no members; Uninvited are messages of theirs about members
	Guests    int
	Uninvited uint64

	Running  int    // functions that run now
	Queued   int    // calls that wait for a worker
	Done     uint64 // functions that have run
	Shed     uint64 // calls whose deadline passed while they waited; they did not run
	Rejected uint64 // calls refused because the queue was full, or put off while it was
	Panics   uint64 // functions that panicked
	Unsent   uint64 // large replies given up: too many were under way, or nothing of them was acknowledged for 10 s
	Resent   uint64 // requests sent again to any peer, also to those that are gone
	LogLost  uint64 // lines that the Logger did not get: it panicked at them, or was slower than they came

	Heartbeats  float64       // sent a second, to all peers together
	Joined      bool          // it has no seeds but itself, or they have told it of the cluster: see WaitJoined
	JoinedSince time.Duration // how long that has been so, or, if it has not joined, how long it has been trying
	Isolated    bool          // most of the peers that should be heard are silent: it is this node that is cut off
	Peers       []PeerStats   // sorted by address

	// Called are the calls made here, in all forms, with the codes that they returned; Served those of functions of
	// this node, also refused ones, with the codes of the answers, or what they would be if nobody waited for one
	Called, Served []FunctionStats
	// Topics are the events that each subscription here has handled, or had no room for: Overloaded. Timers are the
	// runs of timers with OneOwner, by its name, and of all others together; those without a worker are Overloaded
	Topics, Timers []FunctionStats
}

// PeerStats is about one peer.
type PeerStats struct {
	Addr  netip.AddrPort `msgpack:"a"`
	State State          `msgpack:"s,omitempty"`
	Since time.Duration  `msgpack:"i,omitempty"` // how long it has been in that state
	// SuspectedBy is who first said that it is suspect: this node or another, none before that has introduced itself
	SuspectedBy netip.AddrPort `msgpack:"b,omitempty"`
	// TableVersion is that of its functions, as far as they are known here; rises with each change of them
	TableVersion uint32        `msgpack:"v,omitempty"`
	RTT          time.Duration `msgpack:"r,omitempty"`  // smoothed round trip of calls to it; 0: not measured yet
	Loss         float64       `msgpack:"l,omitempty"`  // share of its datagrams to us that did not arrive, 0 to 1
	InFlight     int           `msgpack:"f,omitempty"`  // our calls to it that wait for a reply
	Retransmits  uint64        `msgpack:"x,omitempty"`  // requests sent again
	BytesIn      uint64        `msgpack:"bi,omitempty"` // payload of datagrams
	BytesOut     uint64        `msgpack:"bo,omitempty"`
	LastHeard    time.Duration `msgpack:"h,omitempty"` // how long ago a datagram of it was accepted
	// Open are functions that are not called there because they failed again and again, sorted: see CircuitOpen
	Open []string `msgpack:"o,omitempty"`
	// Breakers are of functions that failed there since their last success, open ones first, by service: 100 at most
	Breakers []BreakerStats `msgpack:"w,omitempty"`
	// PacketSize is the bytes in the largest datagram sent to it, with the tag of sealed ones: probed when much is sent
	PacketSize int `msgpack:"z,omitempty"`
}

// BreakerStats is about one breaker: of a function at a peer, under a policy.
type BreakerStats struct {
	Service  string        `msgpack:"n"`
	Policy   BreakerPolicy `msgpack:"p"`           // of Breaker, or the defaults; no field is zero
	Failures int           `msgpack:"f,omitempty"` // since the last success
	// Open: no call goes there until TryIn has passed; then one tries, and decides
	Open  bool          `msgpack:"o,omitempty"`
	TryIn time.Duration `msgpack:"t,omitempty"` // 0: one may try, or does, or it is not open
	// Overload: it only had no time or no room: where there is nobody else it is called all the same
	Overload bool `msgpack:"w,omitempty"`
}

// counters are the counts that the reader keeps; others read them at any time.
type counters struct {
	malformed, foreignVersion, otherCluster, replayed atomic.Uint64
	unanswered, stranger, unknownKind, inboxFull      atomic.Uint64
	unusable, unopened, crowded                       atomic.Uint64
	tooMany                                           atomic.Uint64 // messages of one link, beside inboxFull for all
	uninvited                                         atomic.Uint64
	guests                                            atomic.Int64 // how many there are
}

// Stats returns the counts and the state of things now.
func (n *Node) Stats() Stats {
	s := n.counts()
	now, v := time.Now(), n.calling.view.Load()
	for i := range v.peers {
		if l := n.linking.tokens.Link(v.peers[i].Link); l != nil {
			s.Peers = append(s.Peers, l.peerStats(now, v, v.peers[i]))
		}
	}
	return s
}

// counts are the Stats without Peers.
func (n *Node) counts() Stats {
	t, p, c := n.linking.transport.Stats(), n.serving.pool.Stats(), &n.stats
	s := Stats{
		DatagramsIn: t.DatagramsIn.Load(), DatagramsOut: t.DatagramsOut.Load(),
		BytesIn: t.BytesIn.Load(), BytesOut: t.BytesOut.Load(), SendErrors: t.ErrorsOut.Load(),
		Malformed: c.malformed.Load() + t.Truncated.Load(), ForeignVersion: c.foreignVersion.Load(),
		OtherCluster: c.otherCluster.Load(), Replayed: c.replayed.Load(),
		Strangers: c.stranger.Load(), Unanswered: c.unanswered.Load(),
		UnknownKinds: c.unknownKind.Load(), Unopened: c.unopened.Load(),
		Unusable: c.unusable.Load(), InboxOverflow: c.inboxFull.Load() + c.tooMany.Load(),
		Guests: int(c.guests.Load()), Uninvited: c.uninvited.Load(),
		TablesRefused: c.crowded.Load(), Unsent: n.linking.wires.Unsent.Load(),
		Running: p.Running, Queued: p.Queued, Done: uint64(p.Done),
		Shed: uint64(p.Shed), Rejected: uint64(p.Refused), Panics: uint64(p.Panics),
	}
	s.LogLost, s.Resent = n.log.Missing(), n.linking.wires.Resent.Load()
	v := n.calling.view.Load()
	s.Heartbeats, s.Isolated, s.Joined, s.JoinedSince = v.heartbeats, v.isolated, v.joined, time.Since(v.joinedAt)
	s.Called, s.Served = functionStats(n.tallies.called), functionStats(n.tallies.served)
	s.Topics, s.Timers = functionStats(n.tallies.topics), functionStats(n.tallies.timers)
	return s
}

// peerStats is the part of Stats about the link's peer.
func (l *conn) peerStats(now time.Time, v *view, p *member.View) PeerStats {
	is := l.Snapshot()
	s := PeerStats{
		Addr: l.ID.Addr, State: State(p.State), Since: now.Sub(v.began) - time.Duration(p.Since),
		TableVersion: p.Tver, InFlight: int(l.record.Inflight.Load()),
		BytesIn: l.record.Traffic.BytesIn.Load(), BytesOut: l.record.Traffic.BytesOut.Load(),
		LastHeard: now.Sub(l.LastHeard()), PacketSize: is.PacketSize, RTT: is.RoundTrip, Retransmits: is.Resent,
		Open: slices.Clone(v.open[p.Process]),
	}
	for _, b := range l.record.Breakers(now) {
		s.Breakers = append(s.Breakers, BreakerStats{
			b.Service, BreakerPolicy(b.Policy), b.Failures, b.IsOpen, b.Rest, b.IsBusy,
		})
	}
	s.Loss = l.loss()
	if p.State == member.Suspect {
		s.SuspectedBy = *cmp.Or(p.Accuser, &v.self)
	}
	return s
}

// loss is the share of the peer's datagrams that did not arrive.
func (l *conn) loss() float64 {
	arrived, sent := l.record.Traffic.Arrived.Load(), l.record.Traffic.Numbered.Load()
	if arrived >= sent {
		return 0
	}
	return 1 - float64(arrived)/float64(sent)
}

// brief is what this node believes of all members, sorted by address, and has measured.
func (n *Node) brief() (b []byte) {
	v := n.calling.view.Load()
	at := v.place()
	for _, p := range v.peers[:at] {
		b = n.belief(p).Append(b)
	}
	b = wire.Belief{Addr: v.self, Self: true}.Append(b)
	for _, p := range v.peers[at:] {
		b = n.belief(p).Append(b)
	}
	return b
}

func (n *Node) belief(p *member.View) wire.Belief {
	b := wire.Belief{Addr: p.Addr, State: uint8(p.State), Unreachable: p.Unreachable, Unsteady: p.Unsteady,
		Draining: p.Draining}
	if l := n.linking.tokens.Link(p.Link); l != nil {
		b.RTT, b.Loss = l.Snapshot().RoundTrip, l.loss()
	}
	return b
}

// What users see of the breakers, in Stats and Watch.

// noteCircuits has the view made anew when a breaker opened or closed, and now and then while one is open.
func (n *Node) noteCircuits(now time.Time) {
	changed := n.calling.circuits.Changed.Swap(false)
	if !changed && (n.loop.circuitsAt.IsZero() || now.Before(n.loop.circuitsAt)) {
		return
	}
	n.loop.circuitsAt = now.Add(balance.Forgiven)
	n.publishSoon()
}

// openCircuits are the functions whose breaker at a peer is not closed, sorted; nil: there are none.
type openCircuits map[wire.Process][]string

// findCircuits finds them for a view that is being made, and tells the operator of those that opened and closed.
func (n *Node) findCircuits(now time.Time, peers []*member.View, was openCircuits) (open openCircuits) {
	if n.loop.circuitsAt.IsZero() {
		return nil
	}
	for _, p := range peers {
		if l := n.linking.tokens.Link(p.Link); l != nil {
			open = open.with(p.Process, l.record.OpenCircuits(now))
		}
	}
	n.logCircuits(now, was, open)
	if open == nil {
		n.loop.circuitsAt = time.Time{}
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
			if suppressed, ok := n.loop.circuitLines.Allow(now); ok {
				n.log.Log(kind.level(), "broach: "+kind.String(),
					"addr", id.Addr, "service", service, "check", kind.remedy(), "suppressed", suppressed)
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
