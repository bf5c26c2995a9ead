package broach

import (
	"slices"
	"time"

	"broach/internal/wire"
)

const (
	helpersEach  = 3  // witnesses asked at the 2nd, 4th and 6th probe
	lonelyProbes = 40 // before a peer is doubted when no witness answers at all: then the fault is likely ours
	pairDensity  = 3  // times as many probes in the same time between two who have no witness, [MEM-11]
	claimTimes   = 5  // how often a claim is made: of 3, one of 31 nodes lost all in 1 of 50 deaths at a loss of 5 to 10 %
	checkTimes   = 5  // how often who hears of a doubt asks: the doubted may be cut off from who doubts, so that it cannot refute
	shareProbes  = 50 // about how many nodes ask at once when another is suspected
	lateChecks   = 2  // how often the rest ask, if it still is by then
	helpPings    = 4  // on behalf of another
	rumourProbe  = time.Second
)

// probe is the questioning of a peer that is late.
type probe struct {
	tries  int // pings sent; 0: there is no probe
	at     moment
	denied int  // witnesses that could not reach it
	checks int8 // pings left to find out for ourselves what another said
	path   bool // the question is whether we reach it: only a Pong ends the probe
	lives  bool // it is there: a witness reached it, or it was heard, [MEM-22]
}

// watch looks at a peer that is late, or being probed, or suspect, [MEM-11].
func (m *membership) watch(now time.Time, p *peer) {
	switch {
	case p.probe.checks > 0:
		m.check(now, p)
	case p.state == Suspect && p.probe.tries == 0 && !p.accused:
		m.declareOffline(now, p)
	case p.probe.tries >= m.enough(p) && p.probe.lives:
		m.cutOff(now, p)
	case p.probe.tries >= m.enough(p):
		m.doubt(now, p)
	default:
		m.ping(now, p)
	}
}

// enough is how many unanswered probes decide, [MEM-13].
func (m *membership) enough(p *peer) int {
	switch {
	case p.probe.lives && !p.unreachable:
		return pathProbes * m.density(p)
	case !p.probe.lives && m.isUnsupported(p):
		return lonelyProbes
	}
	return m.cfg.heartbeat.Probes * m.density(p)
}

// density is by how much probes follow each other more closely than ProbeEvery.
func (m *membership) density(p *peer) int {
	if m.peers.hasOther(p) {
		return 1
	}
	return pairDensity
}

// isUnsupported reports that there are witnesses, and that none has said that it does not reach the peer either.
func (m *membership) isUnsupported(p *peer) bool {
	return p.probe.denied == 0 && m.peers.hasOther(p)
}

// ping sends the next probe; with every other one, witnesses are asked.
func (m *membership) ping(now time.Time, p *peer) {
	if p.probe.tries == 0 && !p.probe.path {
		m.noteLate(now)
	}
	p.probe.tries++
	p.probe.at = m.moment(now.Add(m.cfg.heartbeat.ProbeEvery / time.Duration(m.density(p))))
	m.tell(p, wire.Ping{Nonce: m.rng.Uint64()})
	if p.probe.tries == 1 || p.probe.tries == 3 {
		m.doubtLink(now, p)
	}
	if p.probe.tries%2 != 0 || p.probe.tries > m.cfg.heartbeat.Probes {
		return
	}
	for _, helper := range m.pick(helpersEach, p) {
		m.tell(helper, wire.Help{Target: p.target()})
	}
}

// doubt makes a peer suspect whose probes were in vain. If not one witness answered, the claim is kept to ourselves.
func (m *membership) doubt(now time.Time, p *peer) {
	p.unsupported = m.isUnsupported(p)
	p.probe, p.accused = probe{}, false
	if p.state != Suspect {
		m.setState(now, p, Suspect)
	} else {
		p.since, m.out.changed = m.moment(now), true // another said so before; the time to refute begins
	}
	if !p.unsupported {
		m.claim(now, p, wire.Suspect{Target: p.target()})
	}
}

// declareOffline ends the time to refute.
func (m *membership) declareOffline(now time.Time, p *peer) {
	if !p.unsupported {
		m.claim(now, p, wire.Offline{Target: p.target()})
	}
	m.takeOffline(now, p)
}

// takeOffline makes a peer offline: calls to it fail at once, [MEM-14].
func (m *membership) takeOffline(now time.Time, p *peer) {
	p.probe, p.accused, p.accuser, p.unreachable = probe{}, false, nil, false
	p.flap(now)
	m.setState(now, p, Offline)
	m.out.offline = p.links(m.out.offline)
	m.planHealing(now)
}

// claim is something said of a peer to all, several times.
type claim struct {
	about *peer
	msg   wire.Message
	left  int
	at    time.Time
}

// claim says something of a peer to all and to itself.
func (m *membership) claim(now time.Time, p *peer, msg wire.Message) {
	m.claims = append(m.claims, claim{about: p, msg: msg, left: claimTimes, at: now})
	m.tickClaims(now)
}

// tickClaims repeats the claims that are due. One that does not hold any more is dropped.
func (m *membership) tickClaims(now time.Time) {
	m.claims = slices.DeleteFunc(m.claims, func(c claim) bool { return c.about.state == Alive || c.about.state == Left })
	for i := range m.claims {
		c := &m.claims[i]
		if now.Before(c.at) {
			continue
		}
		c.left--
		c.at = now.Add(m.cfg.heartbeat.ProbeEvery)
		for _, p := range m.peers.list {
			if p.isMember() || p == c.about {
				m.tell(p, c.msg)
			}
		}
	}
	m.claims = slices.DeleteFunc(m.claims, func(c claim) bool { return c.left == 0 })
}

// accusedPeer finds the peer that a claim is about, if the claim counts, [MEM-15].
func (m *membership) accusedPeer(t wire.Target) *peer {
	p := m.peers.named(t)
	if p == nil || t.Inc < p.inc || !p.isMember() {
		return nil
	}
	return p
}

// refute answers a claim about ourselves, [MEM-16].
func (m *membership) refute(now time.Time, t wire.Target) {
	if t.Inc >= m.inc {
		m.inc = t.Inc + 1
		m.announceAll(now)
	}
}

// onSuspect hears that another doubts a peer. Some of us find out for themselves, [MEM-15].
func (m *membership) onSuspect(now time.Time, from *peer, t wire.Target) {
	if t.Boot == m.cfg.boot {
		m.refute(now, t)
		return
	}
	p := m.accusedPeer(t)
	if p == nil || p.state == Suspect {
		return
	}
	p.accused = true
	m.setState(now, p, Suspect)
	p.accuser = from
	p.probe = probe{tries: 1, at: m.moment(now), checks: checkTimes}
	if n := len(m.peers.list); n > shareProbes && m.rng.IntN(n) >= shareProbes {
		p.probe.at, p.probe.checks = m.moment(now.Add(m.lateCheck())), lateChecks
	}
	m.schedule(p)
}

// lateCheck is when those ask who leave it to others at first: most doubts are settled by then, and all others not yet.
func (m *membership) lateCheck() time.Duration {
	quarter := m.cfg.heartbeat.Grace / 4
	return quarter + time.Duration(m.rng.Int64N(int64(quarter)+1))
}

// check asks a peer that another doubts. If it does not answer and nothing comes of the doubt, we look at it as if it were late.
func (m *membership) check(now time.Time, p *peer) {
	p.probe.checks--
	p.probe.at = m.moment(now.Add(m.cfg.heartbeat.ProbeEvery))
	if p.probe.checks == 0 {
		p.probe.at = m.moment(now.Add(rumourProbe))
	}
	m.tell(p, wire.Ping{Nonce: m.rng.Uint64()})
}

// onOffline hears that another has given a peer up. Who has heard of it since the Suspect, or never heard that, finds out for
// itself.
func (m *membership) onOffline(now time.Time, t wire.Target) {
	if t.Boot == m.cfg.boot {
		m.refute(now, t)
		return
	}
	p := m.accusedPeer(t)
	switch {
	case p == nil:
	case p.state == Suspect:
		m.takeOffline(now, p)
	case p.probe.tries > 0:
		p.probe.denied++
	default:
		m.ping(now, p)
		m.schedule(p)
	}
}

// onVouch hears that a witness reaches a peer.
func (m *membership) onVouch(now time.Time, t wire.Target) {
	p := m.peers.named(t)
	if p == nil || !p.isMember() {
		return
	}
	p.heard, p.probe.lives = m.moment(now), p.probe.tries > 0
	m.excuse(now, p)
	if p.state == Suspect {
		p.accuser = nil
		m.revive(now, p)
	}
	m.schedule(p)
}

// onNack hears that a witness does not reach a peer either.
func (m *membership) onNack(t wire.Target) {
	if p := m.peers.named(t); p != nil && p.probe.tries > 0 {
		p.probe.denied++
	}
}

// vouch tells who doubted a peer that it answers.
func (m *membership) vouch(p *peer) {
	if to := p.accuser; to.position >= 0 {
		m.tell(to, wire.Vouch{Target: p.target()})
	}
	p.accuser = nil
}

// help is the probing of a peer that another asked for.
type help struct {
	target *peer
	by     *peer
	since  time.Time
	tries  int
	at     time.Time
}

// onHelp begins to probe a peer for another, [MEM-12]. What we know already is said at once.
func (m *membership) onHelp(now time.Time, by *peer, t wire.Target) {
	p := m.peers.byAddr[t.Addr]
	switch {
	case p != nil && (p.boot != t.Boot || p.state == Offline || p.state == Left):
		m.tell(by, wire.Offline{Target: t})
	case p == nil:
	case len(m.helps) < helpsMax:
		m.helps = append(m.helps, help{target: p, by: by, since: now, at: now})
		m.tickHelps(now)
	}
}

// tickHelps goes on with the probes for others, and answers those that are decided.
func (m *membership) tickHelps(now time.Time) {
	m.helps = slices.DeleteFunc(m.helps, func(h help) bool {
		target := wire.Target{Addr: h.target.addr, Boot: h.target.boot, Inc: h.target.inc}
		switch {
		case h.target.heard > m.moment(h.since):
			m.tell(h.by, wire.Vouch{Target: target})
			return true
		case h.tries == helpPings && !now.Before(h.at):
			m.tell(h.by, wire.Nack{Target: target})
			return true
		}
		return false
	})
	for i := range m.helps {
		h := &m.helps[i]
		if now.Before(h.at) {
			continue
		}
		h.tries++
		h.at = now.Add(m.cfg.heartbeat.ProbeEvery)
		m.tell(h.target, wire.Ping{Nonce: m.rng.Uint64()})
	}
}
