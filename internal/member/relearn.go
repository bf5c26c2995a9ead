package member

import (
	"net/netip"
	"slices"
	"time"

	"broach/internal/pace"
	"broach/internal/wire"
)

// A host may get another address while its nodes run. Who has learnt its address notices that others see it elsewhere,
// and moves there, [MEM-32]. While it hears nobody it asks more often and believes the first: there is nothing to lose.

const (
	learnAgain   = 10 * time.Second       // between two questions of who knows its address
	learnSoon    = 500 * time.Millisecond // while those who should be heard are silent
	learnAnswers = 8                      // answers remembered
	asksPerSec   = 2                      // Opens in a second that who hears nobody answers by the question where it is
)

// observation is what somebody sees us at, who does not see us where we believe to be.
type observation struct {
	by   netip.Addr
	addr netip.AddrPort
}

// isAlone reports that no peer is alive for us.
func (m *Membership) isAlone() bool {
	return !slices.ContainsFunc(m.peers.list, func(p *peer) bool { return p.state == Alive })
}

// isUnheard reports that no peer is alive for us, though there was time for that since we came to our address.
func (m *Membership) isUnheard(now time.Time) bool {
	return now.Sub(m.learner.since) >= learnSoon && m.isAlone()
}

// AsksUnheard reports that we ask where we are because nobody is heard.
func (m *Membership) AsksUnheard(now time.Time) bool { return m.learner.on && m.isUnheard(now) }

// AsksBack reports whether who learns its address asks for it, instead of answering an Open that names one. isUnheard
// says that no peer is alive for it: then it asks some, and answers the others.
func AsksBack(now time.Time, self, named netip.AddrPort, isUnheard bool, asks *pace.Allowance) bool {
	return asksInstead(self, named) || isUnheard && !named.Addr().IsUnspecified() && asks.Take(now, asksPerSec)
}

// note keeps an answer, in place of the one that the same host gave before.
func (l *learner) note(o observation) {
	l.answers = slices.DeleteFunc(l.answers, func(old observation) bool { return old.by == o.by })
	if len(l.answers) == learnAnswers {
		l.answers = l.answers[1:]
	}
	l.answers = append(l.answers, o)
}

// isContradicted reports whether we believe who sees us at another address: when two hosts do, or all that there are,
// or when we hear nobody where we are. An address of this host alone gives way to any other, and takes the place of
// none while somebody is heard. Over the other IP version we are at another address wherever we are: that counts only
// where nobody could see us at ours.
func (m *Membership) isContradicted(now time.Time, from, addr netip.AddrPort) bool {
	isLocal, wasLocal := addr.Addr().IsLoopback(), m.cfg.Self.Addr().IsLoopback()
	switch {
	case m.isUnheard(now), wasLocal && !isLocal:
		return true
	case isLocal && !wasLocal:
		return false
	}
	all := m.askable(false)
	if same := m.ofOurVersion(all); len(same) > 0 {
		if addr.Addr().Is4() != m.cfg.Self.Addr().Is4() {
			return false
		}
		all = same
	}
	m.learner.note(observation{from.Addr(), addr})
	by := 0
	for _, o := range m.learner.answers {
		if o.addr == addr {
			by++
		}
	}
	return by >= min(2, len(all))
}

// ofOurVersion are those addresses that have the IP version of ours.
func (m *Membership) ofOurVersion(addrs []netip.AddrPort) []netip.AddrPort {
	return slices.DeleteFunc(slices.Clone(addrs), func(a netip.AddrPort) bool { return a.Addr().Is4() != m.cfg.Self.Addr().Is4() })
}

// askable lists whom we can ask, one address of each host. Who is offline may have lost us, and not we it.
func (m *Membership) askable(evenOffline bool) (list []netip.AddrPort) {
	isListed := make(map[netip.Addr]bool)
	add := func(addr netip.AddrPort) {
		if !isListed[addr.Addr()] {
			isListed[addr.Addr()] = true
			list = append(list, addr)
		}
	}
	for _, p := range m.peers.sorted() {
		if p.isMember() || evenOffline && p.state == Offline {
			add(p.Addr)
		}
	}
	for _, s := range m.joining.seeds {
		add(s)
	}
	return list
}

// tickAskingAgain asks somebody whether we are where we believe to be.
func (m *Membership) tickAskingAgain(now time.Time) {
	l := &m.learner
	isSilent := m.pulse.isolated || m.isAlone()
	if isSilent {
		l.askAt = pace.Earliest(l.askAt, l.askedAt.Add(learnSoon))
	}
	if now.Before(l.askAt) {
		return
	}
	l.askAt, l.askedAt = now.Add(learnAgain), now
	if all := m.askable(isSilent); len(all) > 0 {
		m.askAddress(all[l.next%len(all)])
		l.next++
	}
}

// move makes another address ours than the one before. A peer is an address: we leave all as what we were, and come to
// them as what we are. They are offline for us until they have met that.
func (m *Membership) move(now time.Time, self netip.AddrPort) {
	peers := slices.Clone(m.peers.list)
	for _, p := range peers {
		if p.state != Left {
			m.tell(p, wire.Leave{})
		}
		if p.isMember() {
			m.setState(now, p, Offline)
		}
	}
	if m.Joined() { // also who was the first, whose seed was itself and leads nowhere now
		m.joining.listed, m.joining.at = true, time.Time{}
	}
	m.adopt(now, self)
	for _, p := range peers {
		m.forget(p)
		if p.state == Offline {
			m.remember(now, p)
			m.contact(now, p.Addr)
		}
	}
}

// remember takes up a process that was a peer of what we were: it is contacted like any other that is offline.
func (m *Membership) remember(now time.Time, p *peer) {
	m.peers.add(&peer{Process: p.Process, inc: p.inc, name: p.name, extras: p.extras, state: Offline, since: p.since, due: m.moment(now)})
	m.schedule(m.peers.byAddr[p.Addr])
	m.planHealing(now)
}
