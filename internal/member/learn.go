package member

import (
	"net/netip"
	"slices"
	"time"

	"broach/internal/pace"
	"broach/internal/wire"
)

// A node that listens on all addresses of its host, and was not told which of them to advertise, takes the one that
// another sees it at, [MEM-25]. Until then it is nobody's peer and makes no link: it asks its seeds, and who asks it is
// asked in turn. Afterwards it goes on asking, because its host may get another address, and because the first to
// answer may have lied.

const (
	learnerFor    = 6 * time.Second // how long the answers to one opening are taken
	learnerOffers = 64              // Offers to one opening that are looked at
	learnerAsked  = 16              // questions remembered
)

// learner is what we know of our own address from others.
type learner struct {
	on      bool      // our address was not given to us
	tokens  [2]uint64 // of the openings whose Offers tell it: the present one and the one before
	until   time.Time // when the present one ends
	askAt   time.Time // of the next question, once we know it
	askedAt time.Time // and of the last
	since   time.Time // when we came to the present address
	next    int       // whose turn it is
	answers []observation
	asked   [learnerAsked]question // the last
	asks    int                    // how many there were
}

// question is an Open that asks where we are.
type question struct {
	number uint64
	to     netip.AddrPort
}

// hears reports whether a token is one whose Offers tell our address.
func (l *learner) hears(token uint64) bool { return token != 0 && slices.Contains(l.tokens[:], token) }

// isLearning reports that our address is not known yet.
func (m *Membership) isLearning() bool { return m.cfg.Self.Addr().IsUnspecified() }

// AskToken is the token of the opening by which we ask for our address; 0: we do not, it was given to us.
func (m *Membership) AskToken() uint64 { return m.learner.tokens[0] }

// Nowhere is what an Open says in place of an address that is to be told: the port is as we know it.
func Nowhere(self netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(netip.IPv6Unspecified(), self.Port())
}

// askAddress asks somebody where it sees us.
func (m *Membership) askAddress(addr netip.AddrPort) {
	m.out.Opens = append(m.out.Opens, Open{To: addr, Token: m.learner.tokens[0], Self: Nowhere(m.cfg.Self)})
}

// asksInstead reports whether who does not know its address, or knows one that is of use on its own host alone, asks
// another where it is seen, instead of telling it that.
func asksInstead(self, other netip.AddrPort) bool {
	switch {
	case other.Addr().IsUnspecified():
		return false
	case self.Addr().IsLoopback():
		return !other.Addr().IsLoopback()
	}
	return self.Addr().IsUnspecified()
}

// NoteAsked remembers whom an Open with a number has asked where we are: it may come to ourselves.
func (m *Membership) NoteAsked(number uint64, o Open) {
	if l := &m.learner; l.hears(o.Token) {
		l.asked[l.asks%learnerAsked] = question{number, o.To}
		l.asks++
	}
}

// askedBy is who was asked by an Open that has come back.
func (l *learner) askedBy(b CameBack) (netip.AddrPort, bool) {
	i := slices.IndexFunc(l.asked[:], func(q question) bool { return q.number == b.Number })
	if i < 0 || !l.hears(b.Token) {
		return netip.AddrPort{}, false
	}
	return l.asked[i].to, true
}

// observed takes an answer. Who has given it, and is no peer yet, is contacted: it may be the only one that knows where
// we are.
func (m *Membership) observed(now time.Time, o Answered) {
	addr := o.Observed
	if !IsUsable(o.From, addr) {
		return
	}
	switch {
	case m.isLearning():
		m.adopt(now, addr)
	case addr == m.cfg.Self:
		m.learner.answers = nil
	case m.isContradicted(now, o.From, addr):
		m.move(now, addr)
	}
	if m.isAlone() {
		m.contactAsked(now, o)
	}
}

// contactAsked contacts who has told us our address. The Offer has paid for one Open.
func (m *Membership) contactAsked(now time.Time, o Answered) {
	switch c := m.contacts.byAddr[o.Addr]; {
	case !IsUsable(o.From, o.Addr):
	case c != nil && c.origin == fromUs:
		m.contact(now, o.Addr)
	default:
		m.contactNamed(now, o.Addr, fromAnswer, false)
	}
}

// tickLearning renews the opening whose Offers tell our address, and asks somebody.
func (m *Membership) tickLearning(now time.Time) {
	l := &m.learner
	if !l.on {
		return
	}
	if !now.Before(l.until) {
		if l.tokens[1] != 0 {
			m.out.Forget = append(m.out.Forget, l.tokens[1])
		}
		l.tokens, l.until = [2]uint64{m.cfg.Open(learnerOffers), l.tokens[0]}, now.Add(learnerFor)
	}
	if !m.isLearning() {
		m.tickAskingAgain(now)
	}
}

// learnAt is when tickLearning has something to do; zero: never.
func (m *Membership) learnAt() time.Time {
	if !m.learner.on {
		return time.Time{}
	}
	if m.isLearning() {
		return m.learner.until
	}
	return pace.Earliest(m.learner.until, m.learner.askAt)
}

// adopt makes an address ours, and joins with it at once, unless we have joined as another.
func (m *Membership) adopt(now time.Time, self netip.AddrPort) {
	m.joining.rename(m.cfg.Self, self)
	m.cfg.Self, m.out.Changed = self, true
	m.digest = wire.Digest(wire.Process{Addr: self, Boot: m.cfg.Boot})
	m.learner.answers, m.learner.since = nil, now
	m.learner.askAt, m.learner.askedAt = now.Add(learnAgain), now
	if m.joining.state == asksSeeds {
		m.joining.at = now
	}
	m.SetSeeds(now, m.joining.named, m.joining.hoped)
}

// IsUsable reports whether an address that somebody advertises is one that we, and others like us, can send to. from is
// where it was said.
func IsUsable(from, addr netip.AddrPort) bool {
	ip := addr.Addr()
	switch {
	case !ip.IsValid(), addr.Port() == 0, ip.IsUnspecified(), ip.IsMulticast(), ip == broadcast:
		return false
	}
	return !ip.IsLoopback() || from.Addr().IsLoopback()
}

// broadcast is every host of a network at once: one datagram would become one for each.
var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

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
	return !slices.ContainsFunc(m.peers.list, func(p *peer) bool { return p.state() == Alive })
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

// noteObservation keeps an answer, in place of the one that the same host gave before.
func (l *learner) noteObservation(o observation) {
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
	m.learner.noteObservation(observation{from.Addr(), addr})
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
	return slices.DeleteFunc(slices.Clone(addrs),
		func(a netip.AddrPort) bool { return a.Addr().Is4() != m.cfg.Self.Addr().Is4() })
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
		if p.isMember() || evenOffline && p.state() == Offline {
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
	if m.cfg.Guest {
		m.dropAll(now)
		m.adopt(now, self)
		return
	}
	peers := slices.Clone(m.peers.list)
	for _, p := range peers {
		if p.state() != Left {
			m.tell(p, wire.Leave{})
		}
		if p.isMember() {
			m.believe(now, p, believedOffline)
		}
	}
	if j := &m.joining; j.state == asksSeeds && m.Joined() { // it was the first: its seed was itself, and is not now
		j.state, j.at = hasJoined, time.Time{}
	}
	m.adopt(now, self)
	for _, p := range peers {
		m.forget(p)
		if p.state() == Offline {
			m.remember(now, p)
			m.contact(now, p.Addr)
		}
	}
}

// remember takes up a process that was a peer of what we were: it is contacted like any other that is offline.
func (m *Membership) remember(now time.Time, p *peer) {
	m.peers.addPeer(&peer{Process: p.Process, inc: p.inc, name: p.name, extras: p.extras, since: p.since,
		belief: believedOffline, due: m.moment(now)})
	m.schedule(m.peers.byAddr[p.Addr])
	m.planHealing(now)
}
