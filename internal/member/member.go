// Package member is what a node believes of the cluster, PROTOCOL.md section 4. It is pure: messages and the time go
// in, effects come out. Its parts:
//
//	member.go      what comes in, what goes out
//	config.go      what the node says, and what others can make us keep or send
//	peer.go        one peer, and the set of them
//	due.go         which peer wants attention next
//	contact.go     addresses that do not answer yet, and who has no room for us
//	tie.go         how an Offer or a Confirm becomes a link of a peer
//	ties.go        which links of a peer stand beside each other
//	introduce.go   what two peers tell each other of themselves
//	seeds_known.go what is known of the seeds
//	learn.go       what our address is, and which of others' are of no use; when it is learnt again
//	tables.go      what the peers offer, and how much of that is held; changes of large tables
//	join.go        seeds, and who joins through us
//	list.go        lists, and what becomes of who is in them
//	healing.go     contact with those that were lost; who came while they were
//	state.go       what is believed of a peer, and what is told of it; members that come and go too often; what has
//	               changed between two views
//	beat.go        beats, and who is late
//	strain.go      what a process does that gets too little of its processor
//	suspicion.go   probes, and what they decide
//	ping.go        Pings, Pongs, and how long an answer takes; signs that ways are longer than was measured
//	witness.go     who is asked about a silent peer, and answers for others
//	claims.go      what is said of a third peer, and refutations
//	reach.go       members that live but cannot be reached from here; whether it is we who are cut off
//	leave.go       how callers are sent elsewhere, how we leave, and others
//	guests.go      who calls and is no member
//	visit.go       what we do as such a one
package member

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"broach/internal/handshake"
	"broach/internal/pace"
	"broach/internal/wire"
)

// Membership is the state. It is stepped by one goroutine.
type Membership struct {
	cfg   Config
	rng   *rand.Rand
	began time.Time

	inc    uint32 // our incarnation
	tver   uint32 // version of our table
	table  []byte // nil: too large for a hello
	digest uint64 // of ourselves and the peers that are not offline
	peers  peerSet
	shown  []*View   // the last view
	held   tableSize // what all peers offer

	joining  joining
	learner  learner
	contacts contactSet
	provings []*proving // the oldest first
	declined declined
	news     []wire.Process // peers to tell recent joiners of
	newsAt   time.Time

	rotation rotation // of the beats
	pulse    pulse
	claims   []claim // being repeated
	alarms   alarms
	alarmed  moment // when the last alarm was given that counts; 0: never
	grown    moment // when a round trip was last measured that is much longer than the one known; 0: never
	refuted  moment // when we last announced that we live; 0: never
	helps    []help // probes on behalf of others
	parting  parting
	guests   guests
	visiting visiting
	healAt   time.Time
	healNext moment // from when all who are offline may be contacted because one came back
	back     comeback
	askAllAt time.Time      // from when all may be asked again whether they hold our links
	listAt   time.Time      // when a List may be sent again to mend somebody's view
	lists    pace.Allowance // of messages of List
	strain   strain
	wakeAt   time.Time // what nextTimeout said after the last tick
	out      Effects
}

// Source says where a message came from.
type Source struct {
	Addr netip.AddrPort
	Link uint64 // the token of the link
	Tver uint32 // version of the sender's table
	Size int    // bytes that brought the message: its own, and for the first of a datagram the header
}

// Message is a message to be sent on a link.
type Message struct {
	Link uint64
	Msg  wire.Message
}

// Event is a change of what we believe of a peer.
type Event struct {
	wire.Process
	Name string
	News News
}

// Pull is a peer whose table is wanted, and the link to ask for it on.
type Pull struct {
	wire.Process
	Link uint64
}

// Effects are what the membership wants done, in this order. Links are named by their tokens.
type Effects struct {
	Begin    []*handshake.Terms // links to be made, of Offers
	Succeed  []Succession
	Offline  []uint64 // calls on them fail
	Left     []uint64 // likewise
	Cut      []uint64 // likewise: the peers live, but do not hear us or we not them
	Opens    []Open
	Forget   []uint64 // openings that are over
	Send     []Message
	Close    []uint64
	Pull     []Pull
	Events   []Event
	Drain    []uint64       // links to those who are answered when none of our calls to them is in flight
	Crowded  []wire.Process // their tables find no room
	Spoilt   []wire.Process // their tables cannot be decoded
	Unusable uint64         // addresses that others named and that are of no use, [MEM-26]
	Stopped  time.Duration  // how long this process did not run, when it should have
	Changed  bool           // the view is another
}

// New is the state of a node that begins now. What it draws it draws from rng, so that a run can be replayed.
func New(cfg Config, now time.Time, rng *rand.Rand) *Membership {
	m := &Membership{cfg: cfg, rng: rng, began: now, inc: 1}
	m.peers.init()
	m.contacts.init()
	m.learner.on = m.isLearning()
	m.digest = wire.Digest(wire.Process{Addr: cfg.Self, Boot: cfg.Boot})
	m.rotation.init(now, cfg.Heartbeat)
	return m
}

// Self is the address that we advertise; unspecified while it is not known.
func (m *Membership) Self() netip.AddrPort { return m.cfg.Self }

// BeganAt is when this began, from which moments are counted.
func (m *Membership) BeganAt() time.Time { return m.began }

// Take returns what is to be done since it was last called. The slices are used again by the next call of any method.
func (m *Membership) Take() Effects {
	e := m.out
	m.out = Effects{
		Begin: e.Begin[:0], Succeed: e.Succeed[:0], Offline: e.Offline[:0], Left: e.Left[:0], Cut: e.Cut[:0],
		Opens: e.Opens[:0], Forget: e.Forget[:0],
		Send: e.Send[:0], Close: e.Close[:0], Pull: e.Pull[:0], Events: e.Events[:0], Drain: e.Drain[:0],
		Crowded: e.Crowded[:0],
		Spoilt:  e.Spoilt[:0],
	}
	return e
}

// Receive takes a message, or with a nil one the news that something came on a link.
func (m *Membership) Receive(now time.Time, src Source, msg wire.Message) {
	if m.IsLeaving() {
		m.onFarewell(src, msg)
		return
	}
	if m.cfg.Guest {
		m.receiveAsGuest(now, src, msg)
		return
	}
	m.noticeStall(now)
	if g := m.guests.byLink[src.Link]; g != nil {
		m.onGuest(now, g, src.Link, msg)
		return
	}
	if m.refused(now, src.Link, msg) {
		return
	}
	m.proven(now, src.Link)
	m.noteDatagram(now, src.Link, src.Tver)
	p := m.peers.byLink[src.Link]
	switch {
	case p == nil || msg == nil:
		return
	case p.state() == Left:
		m.onLeft(p, msg)
		return
	}
	switch msg := msg.(type) {
	case wire.Join:
		m.onJoin(now, p, msg)
	case wire.List:
		m.onList(now, p, src, msg)
	case wire.Announce:
		m.onAnnounce(now, p, src, msg.Hello)
	case wire.Welcome:
		m.onWelcome(now, p, src, msg)
	case wire.Ack:
		m.onAck(now, p, msg)
	case wire.Ping:
		m.send(src.Link, wire.Pong(msg))
	default:
		m.onLinked(now, p, src.Link, msg)
	}
}

// onLinked takes the messages of peers that have met.
func (m *Membership) onLinked(now time.Time, p *peer, link uint64, msg wire.Message) {
	switch msg := msg.(type) {
	case wire.Beat:
		m.onBeat(now, p, link, msg)
	case wire.Pong:
		m.onPong(now, p, msg)
	case wire.Help:
		m.onHelp(now, p, msg.Target)
	case wire.Vouch:
		m.onVouch(now, p, msg.Target)
	case wire.Nack:
		m.onNack(p, msg.Target)
	case wire.Suspect:
		m.onSuspect(now, p, msg.Target)
	case wire.Offline:
		m.onOffline(now, p, msg.Target)
	case wire.Leave:
		m.onLeave(now, p)
	case wire.Delta:
		m.onDelta(now, p, msg)
	case wire.Drain:
		m.onDrain(p, msg)
	}
}

// noteDatagram notes that a datagram was accepted on the link of a peer, [MEM-17].
func (m *Membership) noteDatagram(now time.Time, link uint64, tver uint32) {
	p := m.peers.byLink[link]
	if p == nil || p.state() == Left {
		return
	}
	p.heard = m.moment(now)
	if link == p.tie.token {
		p.doubts = 0
	}
	m.noteHeard(now, p)
	if p.probe.isOn() {
		m.excuse(now, p)
	}
	if p.accuser != nil {
		m.vouch(p)
	}
	p.probe = p.probe.afterSign()
	if p.state() != Alive {
		m.revive(now, p)
	}
	if len(m.helps) > 0 {
		m.tickHelps(now) // somebody may wait for this news
	}
	m.noticeTable(now, p, tver)
}

// SetTable takes a new version of our own table, and announces it. Of a table that does not fit a hello the peers get
// what has changed, or pull it.
func (m *Membership) SetTable(now time.Time, version uint32, table []byte) {
	delta, ok := deltaOf(m.tver, m.table, version, table)
	m.tver, m.table = version, table
	for _, p := range m.peers.list {
		switch {
		case !p.isMember():
		case ok && p.seen == delta.Base:
			m.hand(now, p, delta)
		default:
			m.greet(now, p)
		}
	}
}

// announceAll sends a hello to every peer with the next tick, again and again until each has answered, [MEM-9].
func (m *Membership) announceAll(now time.Time) {
	for _, p := range m.peers.list {
		if p.isMember() {
			p.hellos, p.helloAt = 0, m.moment(now)
			m.schedule(p)
		}
	}
}

// Tick does what is due.
func (m *Membership) Tick(now time.Time) {
	if m.IsLeaving() {
		m.tickLeave(now)
		return
	}
	m.noticeStall(now)
	list := m.duties()
	for i := range list {
		list[i].do(m, now)
	}
	m.wakeAt = m.NextTimeout()
}

// Observe takes what the strain of this process shows in. A stall is noticed before: how it is made good is up to the
// strain before it, of which it is none itself.
func (m *Membership) Observe(now time.Time, late time.Duration, dropped uint64) {
	if !m.IsLeaving() {
		m.noticeStall(now)
	}
	m.strain.observe(now, late, dropped, len(m.peers.list)+len(m.joining.missing)+m.contacts.waiting())
}

// NextTimeout is when tick has something to do next; zero: never.
func (m *Membership) NextTimeout() (next time.Time) {
	if m.IsLeaving() {
		return pace.Earliest(m.parting.at, m.parting.until)
	}
	list := m.duties()
	for i := range list {
		next = pace.Earliest(next, list[i].due(m))
	}
	return next
}

// tell sends a message on the best link of a peer.
func (m *Membership) tell(p *peer, msg wire.Message) { m.send(p.tie.token, msg) }

// send sends a message on a link.
func (m *Membership) send(link uint64, msg wire.Message) {
	m.out.Send = append(m.out.Send, Message{Link: link, Msg: msg})
}

// tellOf reports a change.
func (m *Membership) tellOf(news News, p *peer) {
	if p.isIntroduced() {
		m.out.Events = append(m.out.Events, Event{p.Process, p.name, news})
		m.out.Changed = true
	}
}

// View lists the peers that have said who they are, sorted by address. Those who have not changed are the same as in
// the view before.
func (m *Membership) View() []*View {
	if m.cfg.Guest {
		return m.guestView()
	}
	list, before := make([]*View, 0, len(m.peers.list)), m.shown
	for _, p := range m.peers.sorted() {
		if p.isIntroduced() {
			list = append(list, p.view(whoAt(&before, p.Addr)))
		}
	}
	m.shown = list
	return list
}

// entries lists the peers that are not offline, and is what a List says.
func (m *Membership) entries() []wire.Process {
	var list []wire.Process
	for _, p := range m.peers.sorted() {
		if p.isMember() {
			list = append(list, p.Process)
		}
	}
	return list
}

// pick draws up to k random peers that are alive, without except.
func (m *Membership) pick(k int, except *peer) []*peer {
	var from []*peer
	for _, p := range m.peers.list {
		if p.state() == Alive && p != except && !p.probe.own {
			from = append(from, p)
		}
	}
	for i := range min(k, len(from)) {
		j := i + m.rng.IntN(len(from)-i)
		from[i], from[j] = from[j], from[i]
	}
	return slices.Clip(from[:min(k, len(from))])
}
