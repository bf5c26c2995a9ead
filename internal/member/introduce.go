package member

import (
	"math"
	"time"

	"broach/internal/wire"
)

const (
	// between the first two hellos to somebody who has not answered, [MEM-3] and [MEM-9]
	helloFirst   = 40 * time.Millisecond
	helloSlower  = 20 * time.Millisecond  // by so much longer is each further wait
	helloEvery   = 250 * time.Millisecond // up to this
	helloMany    = 10                     // after so many each wait is twice as long,
	helloDoubled = 4                      // so many times
	// between any two while many have not answered: a crowd that joins has enough to do
	helloPace = 2500 * time.Microsecond
	// up to which addresses are asked again as fast as a loss of a quarter wants it
	crowdFew = 32
	helloMax = wire.ControlPacket - wire.HeaderSize
	// how long a peer that left is kept at least: what it has sent before may come so late
	leftMin = 6 * time.Second
)

// hello is what we say of ourselves in a message of at most limit bytes. seen is the version of the table that we hold
// of who is told. If our table does not fit it is left out, and the peer pulls it; if names and tags do not fit either,
// the whole follows.
func (m *Membership) hello(seen uint32, limit int) wire.Hello {
	bare := wire.Hello{Inc: m.inc, Seen: seen, Addr: m.cfg.Self}
	named := bare
	named.Name, named.Version, named.Tags = m.cfg.Name, m.cfg.Version, m.cfg.Tags
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

// helloGap is the wait after a hello that was sent for the tries-th time, while so many have not answered. At a loss of
// a quarter each way, five hellos are needed until the last of 31 peers has answered one: the waits are short while
// that is likely the reason.
func (m *Membership) helloGap(tries uint8, unanswered int) time.Duration {
	gap := helloFirst + time.Duration(tries-1)*helloSlower
	gap = min(max(gap, time.Duration(unanswered)*helloPace), helloEvery)
	if tries > helloMany {
		gap <<= min(tries-helloMany, helloDoubled)
	}
	return max(gap, m.strain.slack())
}

// crowd is how many addresses are to answer for the first time, or to confirm a link, if those are many: then they have
// enough to do, and what is said again waits for that.
func (m *Membership) crowd() int {
	if n := m.contacts.waiting() + len(m.provings); n > crowdFew {
		return n
	}
	return 0
}

// awaitAnswer notes that a hello went to a peer, and when the next is due.
func (m *Membership) awaitAnswer(now time.Time, p *peer) {
	p.hellos = min(p.hellos+1, math.MaxUint8-1)
	p.helloAt = m.moment(now.Add(m.helloGap(p.hellos, len(m.peers.list))))
	m.schedule(p)
}

// greet sends a hello to a peer, and again until it has seen our present table.
func (m *Membership) greet(now time.Time, p *peer) {
	p.hellos = 0
	m.greetAgain(now, p)
}

// greetAgain sends the next one. A peer that has left many unanswered may not hold the link: it closed it when no
// answer of ours had come in time.
func (m *Membership) greetAgain(now time.Time, p *peer) {
	p.told = m.tver
	m.tell(p, wire.Announce{Hello: m.hello(p.tver, helloMax)})
	switch {
	case p.hellos >= helloMany:
		m.doubtLink(now, p)
	case p.asked && p.hellos == 0:
		m.expect(p, now.Add(answersWithin))
	}
	m.awaitAnswer(now, p)
}

// onAnnounce answers a hello. Whom we have sent no beat yet is told when the first comes.
func (m *Membership) onAnnounce(now time.Time, p *peer, src Source, h wire.Hello) {
	m.noteForgotten(now, p, h)
	m.update(now, p, src.Tver, h)
	m.send(src.Link, wire.Welcome{Answers: h.Inc, Hello: m.hello(p.tver, helloMax)})
	if p.tie.beats.out == 0 {
		m.send(src.Link, m.ack(p))
	}
}

// onWelcome takes the answer to a hello.
func (m *Membership) onWelcome(now time.Time, p *peer, src Source, msg wire.Welcome) {
	if msg.Answers == m.inc {
		m.noteAnswer(now, p)
	}
	m.update(now, p, src.Tver, msg.Hello)
	m.send(src.Link, m.ack(p))
	m.catchUp(now, p)
	m.continueJoin(now, p)
}

// onAck notes which of our tables a peer has.
func (m *Membership) onAck(now time.Time, p *peer, msg wire.Ack) {
	if p.older == nil { // or it may answer what was said on a link of before
		m.noteFirstTrip(p, time.Duration(m.moment(now)-p.since))
	}
	m.takePromise(now, p, msg)
	m.noteSeen(p, msg.Seen)
	m.catchUp(now, p)
}

// catchUp tells a peer of our table if that has changed since we introduced ourselves: when it did, it was no peer yet.
func (m *Membership) catchUp(now time.Time, p *peer) {
	if p.seen < m.tver && p.told < m.tver {
		m.greet(now, p)
	}
}

// ack tells a peer which of its tables we hold, and when our next beat comes.
func (m *Membership) ack(p *peer) wire.Ack {
	return wire.Ack{Seen: p.tver, Promise: promised(m.rotation.promiseTo(p))}
}

// takePromise notes when a new peer's first beat comes. Later ones promise for themselves.
func (m *Membership) takePromise(now time.Time, p *peer, msg wire.Ack) {
	if p.tie.beats.in == 0 {
		m.expect(p, now.Add(time.Duration(msg.Promise)*time.Millisecond))
		m.schedule(p)
	}
}

// noteSeen notes which version of our table a peer holds; when it is the present one, no hello is needed.
func (m *Membership) noteSeen(p *peer, version uint32) {
	p.seen = max(p.seen, version)
	if p.seen >= m.tver && p.helloAt != 0 {
		p.helloAt, p.hellos = 0, 0
		m.schedule(p)
	}
}

// makeRoom reports whether there is room for another peer. At a full table the one goes that has been offline, or gone,
// for the longest time.
func (m *Membership) makeRoom(now time.Time) bool {
	if len(m.peers.list) < m.cfg.MaxPeers {
		return true
	}
	oldest := m.longestGone(now)
	if oldest == nil {
		return false
	}
	m.forget(oldest)
	return true
}

// longestGone is the peer that has been offline, or gone, for the longest time, or nil.
func (m *Membership) longestGone(now time.Time) (oldest *peer) {
	for _, p := range m.peers.list {
		gone := p.state() == Offline || p.state() == Left && now.Sub(m.time(p.since)) >= leftMin
		if gone && (oldest == nil || p.since < oldest.since) {
			oldest = p
		}
	}
	return oldest
}

// IsFull reports that no other peer can be taken.
func (m *Membership) IsFull(now time.Time) bool {
	return len(m.peers.list) >= m.cfg.MaxPeers && m.longestGone(now) == nil
}

// admit adds a peer, in place of old if that is not nil.
func (m *Membership) admit(now time.Time, id wire.Process, t tie, old *peer) *peer {
	at := m.moment(now)
	p := &peer{Process: id, met: at, since: at, heard: at, due: at,
		helloAt: m.moment(now.Add(m.helloGap(1, m.crowd())))}
	m.expect(p, now.Add(m.rotation.promise()))
	if old != nil {
		p.flaps = old.flaps
	}
	m.peers.addPeer(p)
	m.peers.bindOnly(p, t)
	m.digest ^= wire.Digest(p.Process)
	m.rotation.enqueue(p)
	m.addNews(now, p)
	m.drainNew(p)
	m.met(now, p)
	return p
}

// succeed takes a process for a peer whose address it has, [LNK-10]. It is told of all others: it may know nobody.
func (m *Membership) succeed(now time.Time, id wire.Process, t tie, old *peer) {
	if old.isMember() {
		m.believe(now, old, believedOffline)
	}
	m.forget(old)
	m.tellOfAll(now, m.admit(now, id, t, old))
}

// tellOfAll tells a new peer of all others. Who has found it by itself, as a seed or at the address of another, may be
// the only one that it knows.
func (m *Membership) tellOfAll(now time.Time, p *peer) {
	if entries := m.entries(); len(entries) > 1 {
		m.tellChunks(now, p, 0, entries, payOnce)
	}
}

// update takes over what a peer says of itself. Where it is it need not say: it is where it was contacted, or has
// answered.
func (m *Membership) update(now time.Time, p *peer, tver uint32, h wire.Hello) {
	isNew := !p.isIntroduced()
	if h.Inc > p.inc || p.tver == 0 {
		p.inc = max(p.inc, h.Inc)
		m.out.Changed = true
	}
	p.name, p.extras = h.Name, extrasOf(h)
	if isNew {
		m.tellOf(NewsUp, p)
		if p.unreachable { // it was found to be before anybody was told of it
			m.tellOf(NewsUnreachable, p)
		}
	}
	if h.HasTable {
		m.takeTable(now, p, tver, h.Table)
	}
	m.noticeTable(now, p, tver)
	m.noteSeen(p, h.Seen)
	m.schedule(p)
}

// revive makes a suspect or offline peer alive again, or one that had left.
func (m *Membership) revive(now time.Time, p *peer) {
	was, since := p.state(), p.since
	m.endProbe(now, p)
	m.excuse(now, p)
	m.believe(now, p, believedAlive)
	if was == Suspect {
		return
	}
	m.rotation.enqueue(p)
	m.greet(now, p)
	if was == Left {
		p.draining = false
		return
	}
	m.tellArrivals(now, p, since)
	m.contactOffline(now)
}
