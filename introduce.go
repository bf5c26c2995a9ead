package broach

import (
	"math"
	"net/netip"
	"time"

	"broach/internal/wire"
)

const (
	helloFirst  = 40 * time.Millisecond   // between the first two hellos to somebody who has not answered, [MEM-3] and [MEM-9]
	helloSlower = 20 * time.Millisecond   // by so much longer is each further wait
	helloEvery  = 250 * time.Millisecond  // up to this
	helloPace   = 2500 * time.Microsecond // between any two while many have not answered: a crowd that joins has enough to do
	ackTimes    = 4                       // how often an Ack goes that nothing comes back for, before we say all of it again
	helloMax    = controlPacket - wire.HeaderSize
	remindEvery = 20 * time.Millisecond // between two Welcomes to who uses a link that we do not have yet, [MEM-4]
)

// introduction is an announcer that has not echoed our nonce yet. Nothing of it is believed.
type introduction struct {
	nonce uint64
	boot  uint64
	tver  uint32
	at    time.Time // of its last hello
	told  time.Time // when our Welcome last went
	first time.Time // and when it did at first
	hello wire.Hello
}

// pendingSet holds the latest introductions.
type pendingSet struct {
	byBoot map[uint64]introduction
	order  []uint64 // boot ids, the oldest first; some may be gone
}

func newPendingSet() pendingSet { return pendingSet{byBoot: make(map[uint64]introduction)} }

// add takes up an introduction. One of the same process is replaced, but keeps its nonce: an answer may be under way.
func (s *pendingSet) add(in introduction) introduction {
	old, known := s.byBoot[in.boot]
	switch {
	case !known:
		s.order = append(s.order, in.boot)
	case old.hello.Addr == in.hello.Addr:
		in.nonce, in.first = old.nonce, old.first
	}
	s.byBoot[in.boot] = in
	if len(s.order) > pendingMax {
		delete(s.byBoot, s.order[0])
		s.order = s.order[1:]
	}
	return in
}

// awaits returns the introduction of a process whose answer has not come, if it is time to ask for it again.
func (s *pendingSet) awaits(now time.Time, boot uint64) (introduction, bool) {
	in, ok := s.byBoot[boot]
	if !ok || now.Sub(in.at) >= pendingKept || now.Sub(in.told) < remindEvery {
		return introduction{}, false
	}
	in.told = now
	s.byBoot[boot] = in
	return in, true
}

// redeem takes out the introduction whose nonce a process echoes.
func (s *pendingSet) redeem(now time.Time, boot, nonce uint64) (introduction, bool) {
	in, ok := s.byBoot[boot]
	if !ok || in.nonce != nonce || now.Sub(in.at) >= pendingKept {
		return introduction{}, false
	}
	delete(s.byBoot, boot) // once
	if len(s.byBoot) == 0 {
		*s = newPendingSet() // what a large cluster needed while it came together is given back
	}
	return in, true
}

// hello is what we say of ourselves in a message of at most limit bytes. If the table does not fit it is left out, and the
// peer pulls it; if names and tags do not fit either, the whole follows on the link.
func (m *membership) hello(nonce, echo uint64, seen uint32, limit int) wire.Hello {
	bare := wire.Hello{Nonce: nonce, Echo: echo, Inc: m.inc, Seen: seen, Addr: m.cfg.self}
	named := bare
	named.Name, named.Version, named.Tags = m.cfg.name, m.cfg.version, m.cfg.tags
	size := len(wire.Welcome{Hello: named}.Append(nil))
	switch {
	case size > limit:
		return bare
	case size+len(m.table) > limit:
		return named
	}
	named.HasTable, named.Table = true, m.table
	return named
}

// helloGap is the wait after a hello that was sent for the tries-th time, while so many have not answered. At a loss of a quarter
// each way, five hellos are needed until the last of 31 peers has answered one: the waits are short while that is likely the reason.
func helloGap(tries uint8, unanswered int) time.Duration {
	gap := helloFirst + time.Duration(tries-1)*helloSlower
	return min(max(gap, time.Duration(unanswered)*helloPace), helloEvery)
}

// awaitAnswer notes that a hello went to a peer, and when the next is due.
func (m *membership) awaitAnswer(now time.Time, p *peer) {
	p.hellos = min(p.hellos+1, math.MaxUint8-1)
	p.helloAt = m.moment(now.Add(helloGap(p.hellos, len(m.peers.list))))
	m.schedule(p)
}

// greet sends a hello to a peer, and again until it has seen our present table. Its nonce stays, so that a late answer counts.
func (m *membership) greet(now time.Time, p *peer) {
	if p.nonce == 0 {
		p.nonce = m.rng.Uint64() | 1
	}
	p.told = m.tver
	m.tell(p, wire.Announce{Hello: m.hello(p.nonce, 0, p.tver, helloMax)})
	m.awaitAnswer(now, p)
}

// greetAgain goes on with that. To a peer that may not believe in us yet, what it needs for that is said first.
func (m *membership) greetAgain(now time.Time, p *peer) {
	if p.echo == 0 || p.hellos > ackTimes {
		m.greet(now, p)
		return
	}
	m.tell(p, m.ack(p, p.echo))
	m.awaitAnswer(now, p)
}

// onAnnounce answers a hello, [MEM-4].
func (m *membership) onAnnounce(now time.Time, src source, h wire.Hello) {
	if h.Addr == m.cfg.self || m.refuses(src, h.Addr) {
		return // nobody else is at our address
	}
	if p := m.peers.byBoot[src.boot]; p != nil && src.linked {
		m.update(now, p, src.tver, h)
		m.tell(p, wire.Welcome{Hello: m.hello(0, h.Nonce, p.tver, helloMax)})
		return
	}
	in := introduction{nonce: m.rng.Uint64() | 1, boot: src.boot, tver: src.tver, at: now, told: now, first: now, hello: h}
	m.challenge(now, src, m.pending.add(in))
}

// challenge sends an announcer the nonce that it has to echo.
func (m *membership) challenge(now time.Time, src source, in introduction) {
	m.answer(now, in.hello.Addr, wire.Welcome{Hello: m.hello(in.nonce, in.hello.Nonce, 0, answerLimit(src))})
}

// stranger hears a process use a link that we do not have. If it announced itself, it believes in us and its Ack was lost:
// until another comes, all that it sends is in vain. It reports whether it asked for that.
func (m *membership) stranger(now time.Time, src source) bool {
	if !src.toUs {
		return false
	}
	in, ok := m.pending.awaits(now, src.boot)
	if ok {
		m.challenge(now, src, in)
	}
	return ok
}

// answerLimit is how long an answer may be that goes to an address that has proven nothing.
func answerLimit(src source) int {
	return min(helloMax, answerTimes*src.size-wire.HeaderSize)
}

// onWelcome takes the answer to a hello. It is believed if it echoes a nonce that we sent to the address it comes from.
func (m *membership) onWelcome(now time.Time, src source, h wire.Hello) {
	if m.refuses(src, h.Addr) {
		return
	}
	if p := m.peers.byBoot[src.boot]; p != nil && src.linked && h.Echo == p.nonce {
		m.noteAnswer(now, p)
		m.update(now, p, src.tver, h)
		return
	}
	if p := m.peers.byBoot[src.boot]; p != nil && p.isMember() && h.Nonce != 0 && h.Echo == p.nonce && h.Addr == p.addr {
		m.tell(p, m.ack(p, h.Nonce)) // it does not believe in us yet: our Ack was lost
		return
	}
	c := m.contacts.byNonce[h.Echo]
	if m.joining.isAnswer(h.Echo) || c != nil && c.addr != h.Addr { // a seed, perhaps known by another address
		m.contactSeed(now, c, src.boot, h.Addr)
		return
	}
	if c == nil {
		return
	}
	p := m.believe(now, src, h)
	if p == nil {
		return
	}
	p.nonce, p.echo = h.Echo, h.Nonce
	m.update(now, p, src.tver, h)
	m.greetAgain(now, p)
	m.continueJoin(now, p)
}

// contactSeed contacts a seed at the address that it advertises.
func (m *membership) contactSeed(now time.Time, c *contact, boot uint64, addr netip.AddrPort) {
	if c != nil {
		m.endContact(c)
	}
	if p := m.peers.byAddr[addr]; p == nil || p.boot != boot || !p.isMember() {
		m.contact(now, addr, contactNew)
	}
}

// onAck believes an announcer that echoes our nonce, and notes which of our tables a peer has.
func (m *membership) onAck(now time.Time, src source, msg wire.Ack) {
	if in, ok := m.pending.redeem(now, src.boot, msg.Echo); ok {
		if p := m.believe(now, src, in.hello); p != nil {
			m.update(now, p, in.tver, in.hello)
			m.noteSeen(p, msg.Seen)
			m.takePromise(now, p, msg)
			m.noteFirstTrip(p, now.Sub(in.first))
			m.tell(p, m.ack(p, 0))
			m.catchUp(now, p)
		}
		return
	}
	if p := m.peers.byBoot[src.boot]; p != nil && src.linked {
		m.takePromise(now, p, msg)
		m.noteSeen(p, msg.Seen)
		m.catchUp(now, p)
	}
}

// catchUp tells a peer of our table if that has changed since we introduced ourselves: when it did, it was no peer yet.
func (m *membership) catchUp(now time.Time, p *peer) {
	if p.seen < m.tver && p.told < m.tver {
		m.greet(now, p)
	}
}

// ack tells a peer which of its tables we hold, and when our first beat comes.
func (m *membership) ack(p *peer, echo uint64) wire.Ack {
	return wire.Ack{Echo: echo, Seen: p.tver, Promise: m.rotation.promised()}
}

// takePromise notes when a new peer's first beat comes. Later ones promise for themselves.
func (m *membership) takePromise(now time.Time, p *peer, msg wire.Ack) {
	if p.beatIn == 0 {
		m.expect(p, now.Add(time.Duration(msg.Promise)*time.Millisecond))
		m.schedule(p)
	}
}

// noteSeen notes which version of our table a peer holds; when it is the present one, no hello is needed.
func (m *membership) noteSeen(p *peer, version uint32) {
	p.seen = max(p.seen, version)
	if p.seen >= m.tver && p.helloAt != 0 {
		p.helloAt, p.hellos = 0, 0
		m.schedule(p)
	}
}

// believe makes a process that has proven its address a peer, [MEM-2]. It returns nil if there is no room for another.
func (m *membership) believe(now time.Time, src source, h wire.Hello) *peer {
	boot := src.boot
	if m.past.has(boot) || h.Addr == m.cfg.self {
		return nil
	}
	old := m.peers.byAddr[h.Addr]
	if old != nil && old.boot == boot {
		if c := m.contacts.byAddr[h.Addr]; c != nil {
			m.endContact(c)
		}
		m.heard(now, boot, 0)
		return old
	}
	if moved := m.peers.byBoot[boot]; moved != nil {
		return nil // one process has one address
	}
	if old != nil {
		m.replace(now, old)
	} else if len(m.peers.list) >= m.cfg.maxPeers {
		return nil
	}
	return m.admit(now, src, h, old)
}

// admit adds a peer, in place of old if that is not nil.
func (m *membership) admit(now time.Time, src source, h wire.Hello, old *peer) *peer {
	at := m.moment(now)
	p := &peer{linkID: linkID{boot: src.boot, addr: h.Addr}, name: h.Name, since: at, heard: at, due: at, helloAt: m.moment(now.Add(helloFirst))}
	m.expect(p, now.Add(m.rotation.promise()))
	if old != nil {
		p.flaps, p.unsteady = old.flaps, old.unsteady
	}
	m.peers.add(p)
	m.digest ^= wire.Digest(p.entry())
	m.rotation.add(p)
	if c := m.contacts.byAddr[h.Addr]; c != nil {
		m.endContact(c)
	}
	m.out.open = append(m.out.open, opening{p.linkID, src.number})
	m.event(MemberUp, p)
	m.addNews(now, p)
	m.drainNew(p)
	return p
}

// replace removes a process whose address another has.
func (m *membership) replace(now time.Time, p *peer) {
	if p.isMember() {
		m.setState(now, p, Offline)
	}
	m.past.add(p.boot)
	m.forget(p)
}

// update takes over what a peer says of itself.
func (m *membership) update(now time.Time, p *peer, tver uint32, h wire.Hello) {
	if h.Inc > p.inc || p.tver == 0 {
		p.inc = max(p.inc, h.Inc)
		m.out.changed = true
	}
	p.name, p.version, p.tags = h.Name, h.Version, h.Tags
	if h.HasTable {
		m.takeTable(p, tver, h.Table)
	}
	m.noticeTable(now, p, tver)
	m.noteSeen(p, h.Seen)
	m.schedule(p)
}

// revive makes a suspect or offline peer alive again.
func (m *membership) revive(now time.Time, p *peer) {
	was := p.state
	p.accused = false
	m.endProbe(now, p)
	m.excuse(now, p)
	m.setState(now, p, Alive)
	if was != Offline {
		return
	}
	m.rotation.add(p)
	m.greet(now, p)
	for _, other := range m.peers.list { // a cut has healed: the others behind it are there as well
		if other.state == Offline {
			m.contact(now, other.addr, contactOnce)
		}
	}
}

// stale hears that a process with a link to us may be gone, [CALL-13].
func (m *membership) stale(now time.Time, addr netip.AddrPort, boot uint64) {
	if p := m.peers.byBoot[boot]; p != nil && p.addr == addr {
		m.contact(now, addr, contactNew)
	}
}
