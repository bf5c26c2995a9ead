package broach

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"broach/internal/wire"
)

// Membership is what this node believes of the cluster, PROTOCOL.md section 4. It is pure: messages and the time go in,
// effects come out. Its parts:
//
//	membership.go  what comes in, what goes out
//	peer.go        one peer, and the set of them
//	introduce.go   how a process comes to be believed
//	learn.go       what our address is, and which of others' are of no use
//	delta.go       changes of large service tables
//	join.go        seeds, lists, and healing
//	contact.go     addresses that do not answer yet
//	heartbeat.go   beats, and who is late
//	suspicion.go   probes, and what they decide
//	ping.go        Pings, Pongs, and how long an answer takes
//	witness.go     who is asked about a silent peer, and answers for others
//	claims.go      what is said of a third peer, and refutations
//	reach.go       members that live but cannot be reached from here
//	isolation.go   whether it is we who are cut off
//	steady.go      members that come and go too often
//	drain.go       how callers are seen off before that
//	leave.go       how we leave, and others

// memberConfig is what the membership must know of its node.
type memberConfig struct {
	self          netip.AddrPort
	boot          uint64
	name, version string
	tags          []wire.Tag
	heartbeat     Heartbeat // complete
	maxPeers      int
}

// membership is the state. It is stepped by one goroutine.
type membership struct {
	cfg   memberConfig
	rng   *rand.Rand
	began time.Time

	inc     uint32 // our incarnation
	tver    uint32 // version of our table
	table   []byte // nil: too large for a hello
	digest  uint64 // of ourselves and the peers that are not offline
	peers   peerSet
	past    bootRing // processes that are gone for good
	pending pendingSet
	answers allowance // to strangers

	joining  joinState
	contacts contactSet
	news     []wire.Entry // peers to tell recent joiners of
	newsAt   time.Time

	rotation rotation // of the beats
	pulse    pulse
	claims   []claim // being repeated
	refuted  moment  // when we last announced that we live; 0: never
	helps    []help  // probes on behalf of others
	draining draining
	parting  parting
	healAt   time.Time
	listAt   time.Time // when a List may be sent again to mend a view
	wakeAt   time.Time // what nextTimeout said after the last tick
	out      effects
}

// source says where a message came from.
type source struct {
	addr   netip.AddrPort
	boot   uint64
	tver   uint32 // version of the sender's table
	number uint64 // of the datagram
	size   int    // of the datagram, bytes
	linked bool   // it came on the link of a believed peer
	toUs   bool   // it names our boot id
}

// memberMessage is a message to be sent: on the link of boot, or outside of a link if that is 0.
type memberMessage struct {
	to   netip.AddrPort
	boot uint64
	msg  wire.Message
}

// memberEvent is a change of what we believe of a peer.
type memberEvent struct {
	kind EventKind
	addr netip.AddrPort
	name string
}

// opening is a peer now believed, and the number of the datagram that proved it: with all before, it must not count again.
type opening struct {
	linkID
	number uint64
}

// effects are what the membership wants done, in this order.
type effects struct {
	open    []opening // peers now believed
	offline []linkID  // calls to them fail
	cut     []linkID  // likewise: they live, but do not hear us or we not them
	send    []memberMessage
	close   []linkID // processes that are gone for good
	pull    []linkID // whose tables are wanted
	events  []memberEvent
	drain   []linkID  // who are answered when none of our calls to them is in flight
	refused []refusal // introductions with an address that is of no use
	changed bool      // the view is another
}

func newMembership(cfg memberConfig, now time.Time, rng *rand.Rand) *membership {
	m := &membership{cfg: cfg, rng: rng, began: now, inc: 1}
	m.peers.init()
	m.contacts.init()
	m.pending = newPendingSet()
	m.digest = wire.Digest(wire.Entry{Addr: cfg.self, Boot: cfg.boot})
	m.rotation.init(now, cfg.heartbeat)
	return m
}

// take returns what is to be done since it was last called. The slices are used again by the next call of any method.
func (m *membership) take() effects {
	e := m.out
	m.out = effects{
		open: e.open[:0], offline: e.offline[:0], cut: e.cut[:0], send: e.send[:0],
		close: e.close[:0], pull: e.pull[:0], events: e.events[:0], drain: e.drain[:0], refused: e.refused[:0],
	}
	return e
}

// receive takes a message.
func (m *membership) receive(now time.Time, src source, msg wire.Message) {
	if src.boot == m.cfg.boot || m.past.has(src.boot) {
		return
	}
	switch {
	case m.isLeaving():
		m.onFarewell(src, msg)
		return
	case m.isLearning():
		m.learn(now, src, msg)
		return
	}
	if src.linked {
		m.heard(now, src.boot, src.tver)
	}
	switch msg := msg.(type) {
	case wire.Join:
		m.onJoin(now, src, msg)
	case wire.List:
		m.onList(now, src, msg)
	case wire.Announce:
		m.onAnnounce(now, src, msg.Hello)
	case wire.Welcome:
		m.onWelcome(now, src, msg.Hello)
	case wire.Ack:
		m.onAck(now, src, msg)
	case wire.Ping:
		m.onPing(now, src, msg)
	default:
		if p := m.peers.byBoot[src.boot]; p != nil && src.linked {
			m.onLinked(now, p, msg)
		}
	}
}

// onLinked takes the messages that only a believed peer may send.
func (m *membership) onLinked(now time.Time, p *peer, msg wire.Message) {
	switch msg := msg.(type) {
	case wire.Beat:
		m.onBeat(now, p, msg)
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
		m.onDelta(p, msg)
	case wire.Drain:
		m.onDrain(p, msg)
	}
}

// heard notes that a datagram was accepted on the link of a peer, [MEM-17].
func (m *membership) heard(now time.Time, boot uint64, tver uint32) {
	p := m.peers.byBoot[boot]
	if p == nil || p.state == Left {
		return
	}
	m.noteFirstTrip(p, time.Duration(m.moment(now)-p.since))
	p.heard, p.echo = m.moment(now), 0
	m.noteHeard(now, p)
	if p.probe.isOn() {
		m.excuse(now, p)
	}
	if p.accuser != nil {
		m.vouch(p)
	}
	p.probe = p.probe.heard()
	if p.state != Alive {
		m.revive(now, p)
	}
	if len(m.helps) > 0 {
		m.tickHelps(now) // somebody may wait for this news
	}
	m.noticeTable(now, p, tver)
}

// setTable takes a new version of our own table, and announces it. Of a table that does not fit a hello the peers get what has
// changed, or pull it.
func (m *membership) setTable(now time.Time, version uint32, table []byte) {
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

// announceAll sends a hello to every peer, again and again until each has answered, [MEM-9].
func (m *membership) announceAll(now time.Time) {
	for _, p := range m.peers.list {
		if p.isMember() {
			m.greet(now, p)
		}
	}
}

// tick does what is due.
func (m *membership) tick(now time.Time) {
	if m.isLeaving() {
		m.tickLeave(now)
		return
	}
	if !m.wakeAt.IsZero() && now.Sub(m.wakeAt) > stalled {
		m.recover(now)
	}
	for p := m.duePeer(now); p != nil; p = m.duePeer(now) {
		m.stepPeer(now, p)
		m.schedule(p)
	}
	m.tickJoin(now)
	m.tickContacts(now)
	m.tickNews(now)
	m.tickBeats(now)
	m.tickClaims(now)
	m.tickHelps(now)
	m.tickHealing(now)
	m.tickDrain(now)
	m.wakeAt = m.nextTimeout()
}

// nextTimeout is when tick has something to do next; zero: never.
func (m *membership) nextTimeout() time.Time {
	if m.isLeaving() {
		return earliest(m.parting.at, m.parting.until)
	}
	t := earliest(m.nextDue(), earliest(m.joining.at, m.joining.settle))
	t = earliest(t, m.contacts.at)
	t = earliest(t, m.newsAt)
	t = earliest(t, m.rotation.nextAt())
	for i := range m.claims {
		t = earliest(t, m.claims[i].at)
	}
	for i := range m.helps {
		t = earliest(t, m.helps[i].at)
	}
	return earliest(t, earliest(m.healAt, m.draining.at))
}

// tell sends a message on the link of a peer.
func (m *membership) tell(p *peer, msg wire.Message) {
	m.out.send = append(m.out.send, memberMessage{to: p.addr, boot: p.boot, msg: msg})
}

// tellAddr sends a message outside of a link.
func (m *membership) tellAddr(addr netip.AddrPort, msg wire.Message) {
	m.out.send = append(m.out.send, memberMessage{to: addr, msg: msg})
}

// answer sends a message to an address that has proven nothing, unless too many are sent so, [MEM-28].
func (m *membership) answer(now time.Time, addr netip.AddrPort, msg wire.Message) (sent bool) {
	if !m.answers.take(now, answersPerSec) {
		return false
	}
	m.tellAddr(addr, msg)
	return true
}

// event reports a change.
func (m *membership) event(kind EventKind, p *peer) {
	m.out.events = append(m.out.events, memberEvent{kind: kind, addr: p.addr, name: p.name})
	m.out.changed = true
}

// pulled takes the answer to effects.pull.
func (m *membership) pulled(now time.Time, boot uint64, version uint32, table []byte, ok bool) {
	p := m.peers.byBoot[boot]
	if p == nil {
		return
	}
	p.pulling = false
	if ok {
		m.takeTable(p, version, table)
	}
	m.noticeTable(now, p, p.tableSeen)
}

// takeTable replaces the table of a peer by a newer one, [TAB-2]. A table that cannot be decoded changes nothing, [TAB-1].
func (m *membership) takeTable(p *peer, version uint32, table []byte) {
	if version <= p.tver {
		return
	}
	functions, err := wire.ConsumeTable(table)
	if err != nil {
		return
	}
	m.holdTable(p, version, functions)
}

// holdTable makes functions what a peer offers.
func (m *membership) holdTable(p *peer, version uint32, functions []wire.Function) {
	p.tver, p.tableSeen, p.functions = version, max(version, p.tableSeen), functions
	p.pullAt = 0
	m.out.changed = true
}

// noticeTable sees which version a peer's headers show. A newer one than we hold is on its way in a hello; if it has not come
// within pullEvery, it is pulled, [TAB-3].
func (m *membership) noticeTable(now time.Time, p *peer, tver uint32) {
	p.tableSeen = max(p.tableSeen, tver)
	if p.tableSeen > p.tver && p.pullAt == 0 && !p.pulling {
		p.pullAt = m.moment(now.Add(pullEvery))
		m.schedule(p)
	}
}

// pullEvery is the time between two pulls from a peer, and what a hello has to come by itself.
const pullEvery = 100 * time.Millisecond

// view lists the peers, sorted by address.
func (m *membership) view() []peerView {
	list, self := make([]peerView, len(m.peers.list)), m.cfg.self
	for i, p := range m.peers.sorted() {
		list[i] = p.view(&self)
	}
	return list
}

// entries lists the peers that are not offline, and is what a List says.
func (m *membership) entries() []wire.Entry {
	var list []wire.Entry
	for _, p := range m.peers.sorted() {
		if p.isMember() {
			list = append(list, p.entry())
		}
	}
	return list
}

// pick draws up to k random peers that are alive, without except.
func (m *membership) pick(k int, except *peer) []*peer {
	var from []*peer
	for _, p := range m.peers.list {
		if p.state == Alive && p != except && !p.probe.own {
			from = append(from, p)
		}
	}
	for i := range min(k, len(from)) {
		j := i + m.rng.IntN(len(from)-i)
		from[i], from[j] = from[j], from[i]
	}
	return slices.Clip(from[:min(k, len(from))])
}
