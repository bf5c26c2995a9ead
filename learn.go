package broach

import (
	"net/netip"
	"slices"
	"time"

	"broach/internal/wire"
)

// A node that listens on all addresses of its host, and was not told which of them to advertise, takes the one that another sees it at, [MEM-25].
// Until then it is nobody's peer and makes no link: it asks its seeds, and who asks it is asked in turn. Afterwards it goes on asking, because its
// host may get another address, and because the first to answer may have lied.

const (
	learnerFor    = 6 * time.Second  // how long the answers to one opening are taken
	learnAgain    = 10 * time.Second // between two questions of who knows its address
	learnAnswers  = 8                // answers remembered
	learnerOffers = 64               // Offers to one opening that are looked at
)

// learner is what we know of our own address from others.
type learner struct {
	on      bool      // our address was not given to us
	tokens  [2]uint64 // of the openings whose Offers tell it: the present one and the one before
	until   time.Time // when the present one ends
	askAt   time.Time // of the next question, once we know it
	next    int       // whose turn it is
	answers []observation
}

// observation is what somebody sees us at, who does not see us where we believe to be.
type observation struct {
	by   netip.Addr
	addr netip.AddrPort
}

// hears reports whether a token is one whose Offers tell our address.
func (l *learner) hears(token uint64) bool { return token != 0 && slices.Contains(l.tokens[:], token) }

// isLearning reports that our address is not known yet.
func (m *membership) isLearning() bool { return m.cfg.self.Addr().IsUnspecified() }

// nowhere is what an Open says in place of an address that is to be told: the port is as we know it.
func (m *membership) nowhere() netip.AddrPort {
	return netip.AddrPortFrom(netip.IPv6Unspecified(), m.cfg.self.Port())
}

// askAddress asks somebody where it sees us.
func (m *membership) askAddress(addr netip.AddrPort) {
	m.out.opens = append(m.out.opens, openTo{to: addr, token: m.learner.tokens[0], self: m.nowhere()})
}

// observed takes an answer.
func (m *membership) observed(now time.Time, o answered) {
	switch addr := o.Observed; {
	case !isUsable(o.from, addr):
	case m.isLearning():
		m.adopt(now, addr)
	case addr == m.cfg.self:
		m.learner.answers = nil
	default:
		m.learner.note(observation{o.from.Addr(), addr})
		if m.isContradicted(addr) {
			m.move(now, addr)
		}
	}
}

// note keeps an answer, in place of the one that the same host gave before.
func (l *learner) note(o observation) {
	l.answers = slices.DeleteFunc(l.answers, func(old observation) bool { return old.by == o.by })
	if len(l.answers) == learnAnswers {
		l.answers = l.answers[1:]
	}
	l.answers = append(l.answers, o)
}

// isContradicted reports whether enough hosts see us at another address: two, or all that there are.
func (m *membership) isContradicted(addr netip.AddrPort) bool {
	by := 0
	for _, o := range m.learner.answers {
		if o.addr == addr {
			by++
		}
	}
	return by >= min(2, len(m.askable()))
}

// askable lists whom we can ask, one address of each host.
func (m *membership) askable() (list []netip.AddrPort) {
	add := func(addr netip.AddrPort) {
		if !slices.ContainsFunc(list, func(a netip.AddrPort) bool { return a.Addr() == addr.Addr() }) {
			list = append(list, addr)
		}
	}
	for _, p := range m.peers.sorted() {
		if p.isMember() {
			add(p.addr)
		}
	}
	for _, s := range m.joining.seeds {
		add(s)
	}
	return list
}

// tickLearning renews the opening whose Offers tell our address, and asks somebody.
func (m *membership) tickLearning(now time.Time) {
	l := &m.learner
	if !l.on {
		return
	}
	if !now.Before(l.until) {
		if l.tokens[1] != 0 {
			m.out.forget = append(m.out.forget, l.tokens[1])
		}
		l.tokens, l.until = [2]uint64{m.cfg.open(learnerOffers), l.tokens[0]}, now.Add(learnerFor)
	}
	if m.isLearning() || now.Before(l.askAt) {
		return
	}
	l.askAt = now.Add(learnAgain)
	if all := m.askable(); len(all) > 0 {
		m.askAddress(all[l.next%len(all)])
		l.next++
	}
}

// learnAt is when tickLearning has something to do; zero: never.
func (m *membership) learnAt() time.Time {
	if !m.learner.on {
		return time.Time{}
	}
	if m.isLearning() {
		return m.learner.until
	}
	return earliest(m.learner.until, m.learner.askAt)
}

// adopt makes an address ours, and joins with it at once.
func (m *membership) adopt(now time.Time, self netip.AddrPort) {
	m.cfg.self, m.out.changed = self, true
	m.digest = wire.Digest(wire.Entry{Addr: self, Boot: m.cfg.boot})
	m.learner.answers, m.learner.askAt = nil, now.Add(learnAgain)
	m.joining.at = now
	m.setSeeds(now, m.joining.named, m.joining.hoped)
}

// move makes another address ours than the one before. A peer is an address: we leave all as what we were, and come to them as what we are.
func (m *membership) move(now time.Time, self netip.AddrPort) {
	peers := slices.Clone(m.peers.list)
	for _, p := range peers {
		if p.isMember() {
			m.tell(p, wire.Leave{})
		}
	}
	m.adopt(now, self)
	for _, p := range peers {
		m.forget(p)
		m.contact(now, p.addr)
	}
}

// isUsable reports whether an address that somebody advertises is one that we, and others like us, can send to. from is where it was said.
func isUsable(from, addr netip.AddrPort) bool {
	ip := addr.Addr()
	switch {
	case !ip.IsValid(), addr.Port() == 0, ip.IsUnspecified(), ip.IsMulticast(), ip == broadcast:
		return false
	}
	return !ip.IsLoopback() || from.Addr().IsLoopback()
}

// broadcast is every host of a network at once: one datagram would become one for each.
var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})
