package member

import (
	"slices"
	"time"

	"broach/internal/wire"
)

const (
	drainFirst   = 30 * time.Millisecond // between the first two Drains to a peer that has not answered
	drainSlowest = 250 * time.Millisecond
)

// draining is how far we are with seeing off those who call us, [MEM-27].
type draining struct {
	on   bool
	from []*peer       // those who have not answered
	at   time.Time     // of the next Drain
	pace time.Duration // after that
}

// Drain begins to ask every peer to call us no more, unless it has begun.
func (m *Membership) Drain(now time.Time) {
	if m.draining.on {
		return
	}
	m.draining = draining{on: true, at: now, pace: drainFirst}
	for _, p := range m.peers.list {
		if p.isMember() {
			m.draining.from = append(m.draining.from, p)
		}
	}
	m.tickDrain(now)
}

// IsDrained reports that nobody calls us any more, nor will.
func (m *Membership) IsDrained() bool { return m.draining.on && len(m.draining.from) == 0 }

// tickDrain asks those again who have not answered. Who is gone, or cannot be reached, is not waited for.
func (m *Membership) tickDrain(now time.Time) {
	d := &m.draining
	if !d.on || now.Before(d.at) {
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
	if m.draining.on {
		m.draining.from = append(m.draining.from, p)
		m.tell(p, wire.Drain{})
	}
}

// onDrain takes a peer's wish not to be called any more, or its answer to ours.
func (m *Membership) onDrain(p *peer, msg wire.Drain) {
	if msg.Answer {
		m.draining.from = slices.DeleteFunc(m.draining.from, func(q *peer) bool { return q == p })
		return
	}
	m.out.Drain = append(m.out.Drain, p.tie.token)
	if !p.draining {
		p.draining, m.out.Changed = true, true
	}
}
