package member

import (
	"slices"
	"time"

	"broach/internal/pace"
	"broach/internal/wire"
)

// A node that does not hear a peer asks witnesses, and is one for others, [MEM-12]. What a witness says completes a
// verdict that our own probes began; it begins none, and what was not asked for is not looked at.

const (
	helpPings = 4 // on behalf of another
	helpsEach = 4 // probes for one asker at once
)

// help is the probing of a peer that another asked for.
type help struct {
	target *peer
	by     *peer
	since  time.Time
	tries  int
	at     time.Time
	sent   bool // the latest try was a Ping of its own
}

// askWitnesses asks whether others reach a peer.
func (m *Membership) askWitnesses(p *peer) {
	q := p.inquire()
	for _, w := range m.pick(helpersEach, p) {
		m.tell(w, wire.Help{Target: p.target()})
		if !slices.Contains(q.witnesses, w) {
			q.witnesses = append(q.witnesses, w)
		}
	}
}

// isWitness reports that a peer was asked about another during the present probe.
func (p *peer) isWitness(of *peer) bool {
	return of.probe.own && slices.Contains(of.inquiry.witnesses, p)
}

// onHelp begins to probe a peer for another. What we know already is said at once.
func (m *Membership) onHelp(now time.Time, by *peer, t wire.Target) {
	p := m.peers.byAddr[t.Addr]
	switch {
	case p != nil && (p.Boot != t.Boot || p.state() == Offline || p.state() == Left):
		m.tell(by, wire.Offline{Target: t})
	case p != nil && m.hasRoomFor(by):
		m.helps = append(m.helps, help{target: p, by: by, since: now, at: now})
		m.tickHelps(now)
	}
}

// hasRoomFor reports whether a peer may have one more probed.
func (m *Membership) hasRoomFor(by *peer) bool {
	asked := 0
	for i := range m.helps {
		if m.helps[i].by == by {
			asked++
		}
	}
	return asked < helpsEach && len(m.helps) < helpsMax
}

// helpsAt is when a probe on behalf of another has a next step; zero: there is none.
func (m *Membership) helpsAt() (at time.Time) {
	for i := range m.helps {
		at = pace.Earliest(at, m.helps[i].at)
	}
	return at
}

// tickHelps goes on with the probes for others, and answers those that are decided.
func (m *Membership) tickHelps(now time.Time) {
	m.helps = slices.DeleteFunc(m.helps, func(h help) bool {
		switch {
		case h.target.heard > m.moment(h.since):
			m.tell(h.by, wire.Vouch{Target: h.target.target()})
			return true
		case h.tries == helpPings && !now.Before(h.at):
			m.tell(h.by, wire.Nack{Target: h.target.target()})
			return true
		}
		return false
	})
	for i := range m.helps {
		h := &m.helps[i]
		if now.Before(h.at) {
			continue
		}
		isPinged := m.isPinged(now, h.target)
		h.tries++
		h.sent = !isPinged
		h.at = now.Add(m.cfg.Heartbeat.ProbeEvery)
		if !isPinged {
			m.tell(h.target, wire.Ping{Nonce: m.rng.Uint64()}) // whatever comes then will do
		}
	}
}

// isPinged reports that a Ping to a target went just now, on behalf of somebody: one does for all who ask.
func (m *Membership) isPinged(now time.Time, target *peer) bool {
	return slices.ContainsFunc(m.helps, func(h help) bool { return h.target == target && h.sent && now.Before(h.at) })
}

// onNack hears that a witness does not reach a peer either.
func (m *Membership) onNack(from *peer, t wire.Target) {
	if p := m.peers.named(t); p != nil && from.isWitness(p) {
		p.probe.find(foundDenied)
	}
}

// onVouch hears that a peer lives, from who was asked: a witness, or when we have said Suspect to all, anybody. Whether
// we reach it is left to our own Pings. Hearsay goes no further: it does not make us a witness.
func (m *Membership) onVouch(now time.Time, from *peer, t wire.Target) {
	p := m.peers.named(t)
	if p == nil || !p.isMember() || !from.isWitness(p) && p.belief != doubted {
		return
	}
	p.probe.find(foundAlive)
	if p.state() == Suspect {
		m.believe(now, p, believedAlive)
	}
	m.schedule(p)
}

// vouch tells who doubted a peer that it answers.
func (m *Membership) vouch(p *peer) {
	if to := p.accuser; to.position >= 0 {
		m.tell(to, wire.Vouch{Target: p.target()})
	}
	p.accuser = nil
}
