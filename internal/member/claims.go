package member

import (
	"math"
	"slices"
	"time"

	"broach/internal/pace"
	"broach/internal/wire"
)

// What is said of a third peer makes a node ask that peer, and nothing else, [MEM-15]. So nobody's word, nor that of
// many, changes what it does with a peer that it hears and reaches.

const (
	// how often a claim is made: of 3, one of 31 nodes lost all in 1 of 50 deaths at a loss of 5 to 10 %
	claimTimes = 5
	// how often who hears of a doubt asks: at a loss of 5 % each way, 1 in 100,000 has no answer
	checkTimes  = 5
	shownAfter  = 2           // of these unanswered, the doubt is shared
	shareProbes = 50          // about how many nodes ask at once when another is suspected
	refuteEvery = time.Second // between two announcements that refute, however many claims there are
	incMax      = uint32(math.MaxUint32)

	// Between two claims about a peer that are looked into, whoever makes them. It takes longer until a true one comes
	// after a death, so that a false one just before does not stand in its way. For the same reason claims are not
	// counted by who makes them: who accused too soon may be the only one to see the death.
	accuseEvery = 500 * time.Millisecond
)

// claim is something said of a peer to all, several times.
type claim struct {
	about *peer
	msg   wire.Message
	left  int
	at    time.Time
}

// claim says something of a peer to all and to itself.
func (m *Membership) claim(now time.Time, p *peer, msg wire.Message) {
	m.claims = append(m.claims, claim{about: p, msg: msg, left: claimTimes, at: now})
	m.tickClaims(now)
}

// claimsAt is when one of them is to be said again; zero: there is none.
func (m *Membership) claimsAt() (at time.Time) {
	for i := range m.claims {
		at = pace.Earliest(at, m.claims[i].at)
	}
	return at
}

// tickClaims repeats the claims that are due. One that does not hold any more is dropped.
func (m *Membership) tickClaims(now time.Time) {
	m.claims = slices.DeleteFunc(m.claims, func(c claim) bool {
		return c.about.state() == Alive || c.about.state() == Left
	})
	for i := range m.claims {
		c := &m.claims[i]
		if now.Before(c.at) {
			continue
		}
		c.left--
		c.at = now.Add(m.cfg.Heartbeat.ProbeEvery)
		for _, p := range m.peers.list {
			if p.isMember() || p == c.about {
				m.tell(p, c.msg)
			}
		}
	}
	m.claims = slices.DeleteFunc(m.claims, func(c claim) bool { return c.left == 0 })
}

// leaveToOther ends the doubts that this node says of a peer, if it is strained: another says the same, to all.
func (m *Membership) leaveToOther(p *peer) {
	if m.strain.goesOn() {
		m.claims = slices.DeleteFunc(m.claims,
			func(c claim) bool { return c.about == p && c.msg.Kind() == wire.KindSuspect })
	}
}

// mayLook reports whether one more claim about a peer is looked into, and notes it.
func (m *Membership) mayLook(now time.Time, p *peer) bool {
	if m.wasLooked(now, p) {
		return false
	}
	p.inquire().looked = m.moment(now)
	return true
}

// wasLooked reports that a claim about a peer was looked into just now.
func (m *Membership) wasLooked(now time.Time, p *peer) bool {
	q := p.inquiry
	return q != nil && q.looked != 0 && m.moment(now) < q.looked+moment(accuseEvery)
}

// accusedPeer finds the peer that a claim is about, if the claim counts, [MEM-15].
func (m *Membership) accusedPeer(t wire.Target) *peer {
	p := m.peers.named(t)
	if p == nil || t.Inc < p.inc || !p.isMember() {
		return nil
	}
	return p
}

// refute answers a claim about ourselves, [MEM-16]: to who made it at once, so that it hears us, and to all, but not
// for each of many.
func (m *Membership) refute(now time.Time, from *peer, t wire.Target) {
	m.noteAlarm(now, from)
	m.tell(from, wire.Ping{Nonce: m.rng.Uint64()})
	if t.Inc < m.inc || t.Inc == incMax {
		return
	}
	if at := m.moment(now); m.refuted == 0 || at >= m.refuted+moment(refuteEvery) {
		// both at once: whoever knows of another one than the rest does not count when it doubts us
		m.refuted, m.inc = at, t.Inc+1
		m.announceAll(now)
	}
}

// onSuspect hears that another doubts a peer. Some of us find out for themselves.
func (m *Membership) onSuspect(now time.Time, from *peer, t wire.Target) {
	if t.Boot == m.cfg.Boot {
		m.refute(now, from, t)
		return
	}
	p := m.accusedPeer(t)
	if p != nil {
		m.leaveToOther(p)
	}
	if p == nil || p.isDoubted() || p.probe.heedsOthers() || !m.mayLook(now, p) {
		m.answerDoubt(now, from, t)
		return
	}
	if p.unreachable {
		m.reachAgain(now, p)
		return
	}
	m.takeUp(now, p, from)
	if !p.probe.own && m.isLeftToOthers() {
		p.probe.at, p.probe.hearsay = m.moment(now.Add(m.lateCheck())), heededFast
		m.schedule(p)
	}
}

// isLeftToOthers draws whether others ask a peer that is doubted. Of few all ask.
func (m *Membership) isLeftToOthers() bool {
	n := len(m.peers.list)
	return n > shareProbes && m.rng.IntN(n) >= shareProbes
}

// answerDoubt answers who doubts a peer, where its word begins nothing: it may be the second, or our first Vouch was
// lost, or the peer has refuted this to all but the one that does not hear it. If nobody said so it would give up a
// peer that lives.
func (m *Membership) answerDoubt(now time.Time, from *peer, t wire.Target) {
	p := m.peers.named(t)
	switch {
	case p == nil || !p.isMember() || p.isDoubted() || m.isLeftToOthers():
	case m.wasLooked(now, p) && p.heard > p.inquiry.looked:
		m.tell(from, wire.Vouch{Target: p.target()})
	case t.Inc < p.inc && m.mayHelp(now, p):
		m.onHelp(now, from, t)
	}
}

// mayHelp reports whether one more Suspect that counts no more is answered as Help, and notes it. It does not stand in
// the way of one that counts.
func (m *Membership) mayHelp(now time.Time, p *peer) bool {
	q, at := p.inquire(), m.moment(now)
	if q.helped != 0 && at < q.helped+moment(accuseEvery) {
		return false
	}
	q.helped = at
	return true
}

// onOffline hears that another has given a peer up. It is a witness, and it may be believed as soon as our own Pings
// were in vain.
func (m *Membership) onOffline(now time.Time, from *peer, t wire.Target) {
	if t.Boot == m.cfg.Boot {
		m.refute(now, from, t)
		return
	}
	p := m.accusedPeer(t)
	switch {
	case p == nil || p.probe.lives():
	case p.isDoubted():
		m.hasten(now, p)
	case p.unreachable:
		p.probe.find(foundGivenUp)
	case p.probe.heedsOthers():
		m.giveUp(now, p)
	case p.probe.isOn():
		p.probe.find(foundDenied)
	case m.mayLook(now, p):
		m.takeUp(now, p, from)
		m.giveUp(now, p)
	}
}

// hasten ends the time to refute of a peer that our own probes made suspect, as soon as what they asked would have been
// answered.
func (m *Membership) hasten(now time.Time, p *peer) {
	if m.isInVain(now, p, checkTimes) {
		m.takeOffline(now, p)
	}
}

// takeUp begins to look into what another says. A probe of our own goes on, and decides later if nothing came of it;
// but a sign of life from before counts no more, or who dies during a probe would be missed late.
func (m *Membership) takeUp(now time.Time, p, from *peer) {
	if !p.probe.isOn() || p.probe.lives() {
		p.probe = probe{at: m.moment(now), checks: checkTimes, path: p.probe.path, own: p.probe.own}
	}
	p.probe.hearsay, p.accuser = heeded, from
	p.inquiry.until = m.moment(now.Add(m.cfg.Heartbeat.Grace + m.cfg.Heartbeat.ProbeEvery)) // an Offline is due before
	m.schedule(p)
}

// giveUp notes that another gave a peer up. The Pings that are missing go soon.
func (m *Membership) giveUp(now time.Time, p *peer) {
	if m.isInVain(now, p, checkTimes) {
		m.takeOffline(now, p)
		return
	}
	q := &p.probe
	if q.found == foundGivenUp {
		return // it is said several times
	}
	q.find(foundGivenUp)
	q.hearsay = heededFast
	q.at = min(q.at, m.moment(now.Add(m.checkEvery(p))))
	if q.tries == 0 {
		q.at = m.moment(now)
	}
	m.schedule(p)
}

// lateCheck is when those ask who leave it to others at first: most doubts are settled by then, and all others not yet.
func (m *Membership) lateCheck() time.Duration {
	quarter := m.cfg.Heartbeat.Grace / 4
	return quarter + time.Duration(m.rng.Int64N(int64(quarter)+1))
}

// checkEvery is the time between two Pings to a peer that others doubt.
func (m *Membership) checkEvery(p *peer) time.Duration {
	if p.probe.hearsay == heededFast {
		return m.cfg.Heartbeat.ProbeEvery / 2
	}
	return m.cfg.Heartbeat.ProbeEvery
}

// isBeingChecked reports that what others say of a peer is being looked into. It is asked first, however late its turn
// comes.
func (m *Membership) isBeingChecked(now time.Time, p *peer) bool {
	q := &p.probe
	return q.heedsOthers() && !q.lives() && (m.moment(now) < p.inquiry.until || !q.own && q.checks > 0)
}

// check asks a peer that another doubts. What all its Pings in vain amount to depends on what the other says then.
func (m *Membership) check(now time.Time, p *peer) {
	q := &p.probe
	if p.state() == Alive && m.isDoubtShared(now, p) {
		m.believe(now, p, accused)
	}
	switch {
	case q.own:
		m.ping(now, p)
	case q.checks > 0:
		q.checks--
		m.ask(now, p)
		q.at = m.moment(now.Add(m.checkEvery(p)))
	case m.moment(now) < m.answerBy(p):
		q.at = m.answerBy(p)
	default:
		q.at = p.inquiry.until
	}
}

// isDoubtShared reports that a peer is to be shown as suspect: another says so, and it does not answer us either. What
// becomes of it does not depend on that. So nothing is shown where its answer may only be late.
func (m *Membership) isDoubtShared(now time.Time, p *peer) bool {
	return m.isInVain(now, p, shownAfter) && !m.haveGrown(now)
}

// lookOurselves probes a peer that is late, or as if it were: others doubted it, it did not answer, and nothing came of
// the doubt.
func (m *Membership) lookOurselves(now time.Time, p *peer) {
	m.noteLate(now, p)
	p.probe.before = int8(p.probe.tries)
	m.ping(now, p)
}
