package member

import (
	"slices"
	"time"

	"broach/internal/wire"
)

// parting is how far we are with going. Each step ends what the one before was for.
type parting struct {
	step  partingStep
	from  []*peer       // those who have not answered
	at    time.Time     // when they are told again; zero: we stay
	pace  time.Duration // the wait after that, while we drain
	until time.Time     // when we are gone, whoever has answered; zero: we do not leave yet
}

// A partingStep is what is done for that. They follow each other; the second may be left out.
type partingStep uint8

const (
	stays  partingStep = iota
	drains             // all are asked to call us no more, [MEM-27]
	leaves             // all are told that we go, and nothing else is done, [MEM-19]
)

const (
	leaveEvery = 30 * time.Millisecond // between two Leaves to a peer that has not answered
	// how long that goes on: at a loss of a quarter, 1 in a million hears none of ten
	leaveFor = 300 * time.Millisecond
)

// Leave begins to tell every peer that this node leaves. Nobody waits for the answers of those who are not there.
func (m *Membership) Leave(now time.Time) {
	m.parting = parting{step: leaves, at: now, until: now.Add(leaveFor)}
	for _, p := range m.peers.list {
		switch {
		case p.isMember():
			m.parting.from = append(m.parting.from, p)
		case p.state() == Offline:
			m.tell(p, wire.Leave{})
		}
	}
	m.dropGuests()
	if m.cfg.Guest {
		for _, pr := range m.provings { // the other end may have the link
			m.send(pr.token, wire.Leave{})
		}
	}
	m.tickLeave(now)
}

// IsLeaving reports that Leave was called.
func (m *Membership) IsLeaving() bool { return m.parting.step == leaves }

// HasLeft reports that there is nothing more to be said.
func (m *Membership) HasLeft(now time.Time) bool {
	return m.IsLeaving() && (len(m.parting.from) == 0 || !now.Before(m.parting.until))
}

// tickLeave tells those who have not answered.
func (m *Membership) tickLeave(now time.Time) {
	if now.Before(m.parting.at) {
		return
	}
	m.parting.at = now.Add(leaveEvery)
	for _, p := range m.parting.from {
		m.tell(p, wire.Leave{})
	}
}

// onFarewell takes what comes while we leave: only who has heard of it matters any more.
func (m *Membership) onFarewell(src Source, msg wire.Message) {
	from := m.peers.byLink[src.Link]
	if _, ok := msg.(wire.Leave); ok && from != nil {
		m.parting.from = slices.DeleteFunc(m.parting.from, func(p *peer) bool { return p == from })
	}
}

// onLeave makes a peer left. Its calls fail at once, but its links stay for as long as it may say so again, for want of
// an answer.
func (m *Membership) onLeave(now time.Time, p *peer) {
	m.tell(p, wire.Leave{})
	p.dropDoubts()
	m.believe(now, p, hasLeft)
	m.out.Left = p.links(m.out.Left)
	m.planHealing(now) // a seed that leaves may come back
}

// onLeft takes what comes from a peer that has left: it has not heard our answer.
func (m *Membership) onLeft(p *peer, msg wire.Message) {
	if _, ok := msg.(wire.Leave); ok {
		m.tell(p, wire.Leave{})
	}
}

const (
	drainFirst   = 30 * time.Millisecond // between the first two Drains to a peer that has not answered
	drainSlowest = 250 * time.Millisecond
)

// Drain begins to ask every peer to call us no more, unless it has begun, or we are leaving.
func (m *Membership) Drain(now time.Time) {
	if m.parting.step != stays {
		return
	}
	m.parting = parting{step: drains, at: now, pace: drainFirst}
	for _, p := range m.peers.list {
		if p.isMember() && !m.cfg.Guest { // whom nobody calls
			m.parting.from = append(m.parting.from, p)
		}
	}
	m.tickDrain(now)
}

// IsDrained reports that we drain, and that nobody calls us any more, nor will.
func (m *Membership) IsDrained() bool { return m.parting.step == drains && len(m.parting.from) == 0 }

// tickDrain asks those again who have not answered. Who is gone, or cannot be reached, is not waited for.
func (m *Membership) tickDrain(now time.Time) {
	d := &m.parting
	if d.step != drains || now.Before(d.at) {
		return
	}
	d.at = now.Add(d.pace)
	d.pace = min(d.pace+d.pace/4, drainSlowest)
	d.from = slices.DeleteFunc(d.from, func(p *peer) bool { return !p.isMember() || p.unreachable })
	for _, p := range d.from {
		m.tell(p, wire.Drain{})
	}
}

// drainNew asks a peer that came while we drain.
func (m *Membership) drainNew(p *peer) {
	if m.parting.step == drains {
		m.parting.from = append(m.parting.from, p)
		m.tell(p, wire.Drain{})
	}
}

// onDrain takes a peer's wish not to be called any more, or its answer to ours.
func (m *Membership) onDrain(p *peer, msg wire.Drain) {
	if msg.Answer {
		m.parting.from = slices.DeleteFunc(m.parting.from, func(q *peer) bool { return q == p })
		return
	}
	m.out.Drain = append(m.out.Drain, p.tie.token)
	if !p.draining {
		p.draining, m.out.Changed = true, true
	}
}
