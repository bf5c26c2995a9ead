package member

import (
	"slices"
	"time"

	"broach/internal/wire"
)

const (
	leaveEvery = 30 * time.Millisecond // between two Leaves to a peer that has not answered
	// how long that goes on: at a loss of a quarter, 1 in a million hears none of ten
	leaveFor = 300 * time.Millisecond
)

// parting is what is left of our leaving, [MEM-19].
type parting struct {
	from  []*peer   // those who have not answered
	at    time.Time // of the next Leave
	until time.Time // zero: we stay
}

// Leave begins to tell every peer that this node leaves. Nobody waits for the answers of those who are not there.
func (m *Membership) Leave(now time.Time) {
	m.parting = parting{at: now, until: now.Add(leaveFor)}
	for _, p := range m.peers.list {
		switch {
		case p.isMember():
			m.parting.from = append(m.parting.from, p)
		case p.state == Offline:
			m.tell(p, wire.Leave{})
		}
	}
	m.tickLeave(now)
}

// IsLeaving reports that Leave was called.
func (m *Membership) IsLeaving() bool { return !m.parting.until.IsZero() }

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
	m.setState(now, p, Left)
	m.out.Left = p.links(m.out.Left)
	m.planHealing(now) // a seed that leaves may come back
}

// onLeft takes what comes from a peer that has left: it has not heard our answer.
func (m *Membership) onLeft(p *peer, msg wire.Message) {
	if _, ok := msg.(wire.Leave); ok {
		m.tell(p, wire.Leave{})
	}
}
