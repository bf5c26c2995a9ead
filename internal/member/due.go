package member

import (
	"container/heap"
	"net/netip"
	"time"

	"broach/internal/pace"
	"broach/internal/wire"
)

// A duty is what the membership does when its time has come.
type duty struct {
	due func(m *Membership) time.Time      // zero: there is nothing to do
	do  func(m *Membership, now time.Time) // does what is due, which may be nothing
}

// duties are all that Tick does, in this order, and all that NextTimeout looks at: one that stood in one of two lists
// would never be done, or have the loop spin.
var duties = [...]duty{
	{(*Membership).nextDue, (*Membership).tickPeers},
	{(*Membership).learnAt, (*Membership).tickLearning},
	{func(m *Membership) time.Time { return m.joining.at }, (*Membership).tickJoin},
	{func(m *Membership) time.Time { return m.joining.askAt }, (*Membership).tickAsking},
	{func(m *Membership) time.Time { return m.contacts.at }, (*Membership).tickContacts},
	{(*Membership).provingAt, (*Membership).tickProving},
	{(*Membership).owedAt, (*Membership).tickOwed},
	{func(m *Membership) time.Time { return m.newsAt }, (*Membership).tickNews},
	{func(m *Membership) time.Time { return m.rotation.nextAt() }, (*Membership).tickBeats},
	{(*Membership).claimsAt, (*Membership).tickClaims},
	{(*Membership).helpsAt, (*Membership).tickHelps},
	{func(m *Membership) time.Time { return m.healAt }, (*Membership).tickHealing},
	{func(m *Membership) time.Time { return m.parting.at }, (*Membership).tickDrain},
	{func(m *Membership) time.Time { return m.guests.at }, (*Membership).tickGuests},
}

// guestDuties are those of a guest.
var guestDuties = [...]duty{
	{(*Membership).learnAt, (*Membership).tickLearning},
	{func(m *Membership) time.Time { return m.joining.at }, (*Membership).tickJoin},
	{func(m *Membership) time.Time { return m.contacts.at }, (*Membership).tickContacts},
	{(*Membership).provingAt, (*Membership).tickProving},
	{func(m *Membership) time.Time { return m.parting.at }, (*Membership).tickDrain},
	{func(m *Membership) time.Time { return m.visiting.at }, (*Membership).tickVisits},
}

func (m *Membership) duties() []duty {
	if m.cfg.Guest {
		return guestDuties[:]
	}
	return duties[:]
}

// tickPeers steps those peers that want attention.
func (m *Membership) tickPeers(now time.Time) {
	for p := m.duePeer(now); p != nil; p = m.duePeer(now) {
		m.stepPeer(now, p)
		m.schedule(p)
	}
}

// duePeer returns a peer that wants attention by now, or nil.
func (m *Membership) duePeer(now time.Time) *peer {
	if h := m.peers.heap; len(h) > 0 && m.moment(now) >= h[0].due {
		return h[0]
	}
	return nil
}

// nextDue is when the first peer wants attention; zero: there is none.
func (m *Membership) nextDue() time.Time {
	if len(m.peers.heap) == 0 {
		return time.Time{}
	}
	return m.time(m.peers.heap[0].due)
}

// peerHeap orders peers by due. Every peer has a due: that it will be late, if nothing else.
type peerHeap []*peer

func (h peerHeap) Len() int           { return len(h) }
func (h peerHeap) Less(i, j int) bool { return h[i].due < h[j].due }
func (h peerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].position, h[j].position = i, j
}
func (h *peerHeap) Push(v any) {
	p := v.(*peer)
	p.position = len(*h)
	*h = append(*h, p)
}
func (h *peerHeap) Pop() any {
	old := *h
	p := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return p
}

// schedule finds out when a peer wants attention next.
func (m *Membership) schedule(p *peer) {
	if p.position < 0 {
		return
	}
	p.due = m.moment(m.dueOf(p))
	heap.Fix(&m.peers.heap, p.position)
}

func (m *Membership) dueOf(p *peer) time.Time {
	switch p.state() {
	case Left:
		if p.tie.token != 0 {
			return m.time(p.since).Add(leaveFor)
		}
		return m.time(p.since).Add(leftKept)
	case Offline:
		return m.time(p.since).Add(m.cfg.Heartbeat.Forget)
	}
	return pace.Earliest(m.plannedAt(p), m.hearsayAt(p))
}

// plannedAt is when the next thing is due for a member by what this node knows itself.
func (m *Membership) plannedAt(p *peer) time.Time {
	at := pace.Earliest(pace.Earliest(m.time(p.helloAt), m.time(p.pull.plannedAt())), p.steadyAt())
	at = pace.Earliest(at, m.watchAt(p))
	return pace.Later(at, m.time(p.waits))
}

// hearsayAt is when the next step of a probe is due that others' words began; zero: there is none.
func (m *Membership) hearsayAt(p *peer) time.Time {
	if !p.probe.isHearsay() {
		return time.Time{}
	}
	return m.time(p.probe.at)
}

// stepPeer does what is due for a peer, if there is room for it now.
func (m *Membership) stepPeer(now time.Time, p *peer) {
	switch {
	case now.Before(m.dueOf(p)): // it was heard meanwhile: the heap is not told each time
		return
	case p.state() == Left && p.tie.token != 0:
		m.unbind(p)
		m.out.Changed = true
		return
	case p.state() == Left || p.state() == Offline:
		m.forget(p)
		return
	}
	in, ahead, until, step := byPlan, &p.goAhead, &p.waits, m.stepMember
	if now.Before(m.plannedAt(p)) {
		in, ahead, until, step = p.probe.lane(), &p.probe.goAhead, &p.probe.at, m.watch
	}
	if at := ahead.wait(now, &m.strain, in); !at.IsZero() {
		*until = m.moment(at)
		return
	}
	step(now, p)
}

// stepMember does the first thing that is due for a peer that is a member.
func (m *Membership) stepMember(now time.Time, p *peer) {
	switch {
	case p.helloAt != 0 && m.moment(now) >= p.helloAt:
		m.greetAgain(now, p)
	case p.pull.plannedAt() != 0 && m.moment(now) >= p.pull.plannedAt():
		p.pull = pullSent
		m.out.Pull = append(m.out.Pull, Pull{p.Process, p.tie.token})
	case p.isUnsteady() && !now.Before(p.steadyAt()):
		p.flaps.unsteady, m.out.Changed = false, true
	default:
		m.watch(now, p)
	}
}

// forget removes a peer that was offline or left for long. A seed is still contacted, as an address.
func (m *Membership) forget(p *peer) {
	m.peers.removePeer(p)
	m.emptyTable(p)
	m.unbind(p)
	m.out.Changed = true
}

// unbind closes the links of a peer.
func (m *Membership) unbind(p *peer) {
	for _, token := range p.links(nil) {
		delete(m.peers.byLink, token)
		m.out.Close = append(m.out.Close, token)
	}
	p.tie, p.older = tie{}, nil
}

// Dismiss forgets a peer, at its operator's wish, if it is not there. It returns the state that the peer was in, and
// whether it was known.
func (m *Membership) Dismiss(addr netip.AddrPort) (was State, known bool) {
	p := m.peers.byAddr[addr]
	if p == nil {
		return 0, false
	}
	was = p.state()
	if !p.isMember() {
		if c := m.contacts.byAddr[addr]; c != nil {
			m.endContact(c)
		}
		m.forget(p)
	}
	return was, true
}

// believe changes what we believe of a peer; the digest follows. One that becomes suspect for another reason is told of
// no more, but the time to refute begins.
func (m *Membership) believe(now time.Time, p *peer, b belief) {
	was, wasMember := p.state(), p.isMember()
	p.belief, p.since = b, m.moment(now)
	if wasMember != p.isMember() {
		m.digest ^= wire.Digest(p.Process)
	}
	if p.state() == was {
		m.out.Changed = true
	} else {
		m.tellOf(p.news(), p)
	}
	m.schedule(p)
}
