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
// answer may have lied: relearn.go.

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
	case c != nil && !c.named:
		m.contact(now, o.Addr)
	default:
		m.contactNamed(now, o.Addr, true, false)
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
	if !m.joining.listed {
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
