package broach

import (
	"math"
	"net/netip"
	"slices"
	"time"

	"broach/internal/wire"
)

const (
	contactFor   = 5 * time.Second        // how long the answer of an address is waited for
	contactTries = 3                      // Opens to it, [AMP-3]
	yieldFor     = 100 * time.Millisecond // of two processes told of each other, how long one lets the other begin
)

// contactKind says why an address is contacted, and so how often.
type contactKind uint8

const (
	contactNew   contactKind = iota // a peer named it: as often as its words pay for
	contactYield                    // the same, but the other side is given the time to begin
	contactOnce                     // we know it: there will be another occasion
)

// contact is an address to which we send Opens, until the process there answers.
type contact struct {
	addr  netip.AddrPort
	token uint64 // stays the same, so that a late answer counts; 0: a link has it now
	rank  uint32 // the highest of the links that we hold to the address
	began time.Time
	at    time.Time // of the next Open; zero: there is none
	until time.Time
	tries uint8 // Opens sent
	by    *peer // whose words named it, and pay; nil: nobody's
	over  bool
}

// contactSet holds the contacts in the order they were made.
type contactSet struct {
	byAddr  map[netip.AddrPort]*contact
	byToken map[uint64]*contact
	list    []*contact // and some that are over
	at      time.Time  // when the first is due, or earlier; zero: none
	opens   allowance  // to addresses that others named
}

func (s *contactSet) init() {
	s.byAddr, s.byToken = make(map[netip.AddrPort]*contact), make(map[uint64]*contact)
}

func (s *contactSet) add(c *contact) {
	s.byAddr[c.addr], s.byToken[c.token] = c, c
	s.list = append(s.list, c)
	s.at = earliest(s.at, c.due())
}

// due is when something is to be done for a contact.
func (c *contact) due() time.Time { return earliest(c.at, c.until) }

// end removes a contact from all but the list, which tickContacts tidies. Maps keep the room that they once needed, which after
// joining a large cluster is more than all the rest: they are made anew.
func (s *contactSet) end(c *contact) {
	c.over = true
	delete(s.byAddr, c.addr)
	delete(s.byToken, c.token)
	if len(s.byAddr) == 0 {
		s.init()
	}
}

// waiting is the number of addresses that have not answered.
func (s *contactSet) waiting() int { return len(s.byAddr) }

// contact begins to open to an address, which by has named, or nobody. To one that is contacted already goes another Open if we know it.
func (m *membership) contact(now time.Time, addr netip.AddrPort, kind contactKind, by *peer) {
	if m.isLearning() || addr == m.cfg.self || !isUsable(addr, addr) {
		return
	}
	c := m.contacts.byAddr[addr]
	switch {
	case c == nil:
		c = m.newContact(now, addr, by)
	case kind == contactOnce:
		c.until = now.Add(contactFor)
	default:
		return
	}
	if c == nil {
		return
	}
	if kind == contactYield {
		c.at = now.Add(yieldFor)
		m.contacts.at = earliest(m.contacts.at, c.at)
		return
	}
	m.openTo(now, c)
}

// newContact makes a contact, or none if there are too many, or if whose word it is cannot pay for an Open. An address that comes when there are
// too many takes the place of the oldest that the same words hold which hold most.
func (m *membership) newContact(now time.Time, addr netip.AddrPort, by *peer) *contact {
	if by != nil && by.creditAt(now) < wire.OpenSize {
		return nil
	}
	if m.contacts.waiting() >= m.cfg.maxPeers {
		m.dropContact()
	}
	c := &contact{addr: addr, token: m.cfg.open(), began: now, until: now.Add(contactFor), by: by}
	if p := m.peers.byAddr[addr]; p != nil {
		c.rank = p.rank()
	}
	m.contacts.add(c)
	return c
}

// dropContact ends the oldest contact of the peer whose words hold most.
func (m *membership) dropContact() {
	counts := make(map[*peer]int)
	var most *peer
	for _, c := range m.contacts.list {
		if !c.over {
			counts[c.by]++
			if counts[c.by] > counts[most] {
				most = c.by
			}
		}
	}
	if i := slices.IndexFunc(m.contacts.list, func(c *contact) bool { return !c.over && c.by == most }); i >= 0 {
		m.endContact(m.contacts.list[i])
	}
}

// openTo sends an Open, if who named the address can pay for it and not too many were sent, [AMP-2] and [AMP-3].
func (m *membership) openTo(now time.Time, c *contact) {
	if c.by != nil && (c.by.creditAt(now) < wire.OpenSize || !m.contacts.opens.take(now, opensPerSec)) {
		return
	}
	if c.by != nil {
		c.by.credit -= wire.OpenSize
	}
	c.tries = min(c.tries+1, math.MaxUint8-1)
	c.at = time.Time{}
	if c.by != nil && c.tries < contactTries {
		c.at = now.Add(helloFirst + time.Duration(c.tries-1)*helloSlower)
	}
	m.contacts.at = earliest(m.contacts.at, c.due())
	m.out.opens = append(m.out.opens, openTo{to: c.addr, token: c.token, rank: c.rank, self: m.cfg.self})
}

// contactNamed contacts the address that an Offer names in place of the one that was asked: that of a seed by another name. The Offer has paid
// for one Open.
func (m *membership) contactNamed(now time.Time, c *contact, o offer) {
	m.joining.alias(c.addr, o.Addr)
	m.endContact(c)
	if p := m.peers.byAddr[o.Addr]; p == nil || !p.isMember() {
		m.contact(now, o.Addr, contactOnce, nil)
	}
}

// endContact notes that an address has answered, or never will.
func (m *membership) endContact(c *contact) {
	if c.over {
		return
	}
	if c.token != 0 {
		m.out.forget = append(m.out.forget, c.token)
	}
	m.contacts.end(c)
	if m.contacts.waiting() == 0 {
		m.out.changed = true // we may have joined
	}
}

// tickContacts sends the Opens that are due, and drops contacts that were in vain.
func (m *membership) tickContacts(now time.Time) {
	s := &m.contacts
	if s.at.IsZero() || now.Before(s.at) {
		return
	}
	s.at = time.Time{}
	due := s.list
	s.list = nil
	for _, c := range due {
		m.tickContact(now, c)
	}
	due = slices.DeleteFunc(due, func(c *contact) bool { return c.over })
	for _, c := range due {
		s.at = earliest(s.at, c.due())
	}
	s.list = append(due, s.list...)
}

func (m *membership) tickContact(now time.Time, c *contact) {
	switch {
	case c.over:
	case !now.Before(c.until):
		m.endContact(c)
	case !c.at.IsZero() && !now.Before(c.at):
		c.at = time.Time{}
		m.openTo(now, c)
	}
}

// openTo is an Open to be sent.
type openTo struct {
	to    netip.AddrPort
	token uint64
	rank  uint32
	self  netip.AddrPort
}

// pay notes what a List was long: so much more may be sent to the addresses in it, [AMP-2].
func (p *peer) pay(now time.Time, size int) {
	p.credit = min(p.creditAt(now)+creditFactor*size, creditMax)
	p.paid = now
}

// creditAt is how many bytes may be sent to addresses that we know by a peer's words alone.
func (p *peer) creditAt(now time.Time) int {
	if now.Sub(p.paid) >= creditKept {
		p.credit = 0
	}
	return p.credit
}

// rank is the highest of the links that we hold to a peer; 0: none, or one that no honest process comes to.
func (p *peer) rank() (rank uint32) {
	rank = p.tie.order.Rank
	if p.older != nil {
		rank = max(rank, p.older.order.Rank)
	}
	if rank >= rankMax {
		return 0
	}
	return rank
}
