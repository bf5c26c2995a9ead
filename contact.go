package broach

import (
	"math"
	"net/netip"
	"slices"
	"time"

	"broach/internal/wire"
)

const (
	contactFor = 5 * time.Second        // how long an address is contacted that somebody told us of
	yieldFor   = 100 * time.Millisecond // of two processes told of each other, how long one lets the other begin
)

// contactKind says how long and how soon an address is contacted.
type contactKind uint8

const (
	contactNew   contactKind = iota // at once, and again for a while
	contactYield                    // the same, but the other side is given the time to begin
	contactOnce                     // once: there will be another occasion
)

// contact is an address to which we announce ourselves, until the process there answers.
type contact struct {
	addr  netip.AddrPort
	nonce uint64    // stays the same, so that a late answer counts
	at    time.Time // of the next Announce
	until time.Time
	tries uint8 // Announces sent
	over  bool
}

// contactSet holds the contacts in the order they were made.
type contactSet struct {
	byAddr  map[netip.AddrPort]*contact
	byNonce map[uint64]*contact
	list    []*contact // and some that are over
	at      time.Time  // when the first is due, or earlier; zero: none
}

func (s *contactSet) init() {
	s.byAddr, s.byNonce = make(map[netip.AddrPort]*contact), make(map[uint64]*contact)
}

func (s *contactSet) add(c *contact) {
	s.byAddr[c.addr], s.byNonce[c.nonce] = c, c
	s.list = append(s.list, c)
	s.at = earliest(s.at, c.at)
}

// end removes a contact from all but the list, which tickContacts tidies. Maps keep the room that they once needed, which after
// joining a large cluster is more than all the rest: they are made anew.
func (s *contactSet) end(c *contact) {
	c.over = true
	delete(s.byAddr, c.addr)
	delete(s.byNonce, c.nonce)
	if len(s.byAddr) == 0 {
		s.init()
	}
}

// waiting is the number of addresses that have not answered.
func (s *contactSet) waiting() int { return len(s.byAddr) }

// contact begins to announce us to an address, [MEM-3]. Nothing else is known of it.
func (m *membership) contact(now time.Time, addr netip.AddrPort, kind contactKind) {
	ip := addr.Addr()
	if m.isLearning() || addr == m.cfg.self || !ip.IsValid() || addr.Port() == 0 || ip.IsUnspecified() || ip.IsMulticast() {
		return
	}
	if s := &m.contacts; s.byAddr[addr] != nil || s.waiting() >= m.cfg.maxPeers {
		return
	}
	c := &contact{addr: addr, nonce: m.rng.Uint64() | 1, at: now, until: now.Add(contactFor)}
	switch kind {
	case contactYield:
		c.at = now.Add(yieldFor)
	case contactOnce:
		c.until = now.Add(helloEvery)
	}
	m.announceTo(now, c)
	if kind == contactOnce {
		c.at = c.until
	}
	m.contacts.add(c)
}

// announceTo sends a hello to an address if that is due.
func (m *membership) announceTo(now time.Time, c *contact) {
	if now.Before(c.at) {
		return
	}
	c.tries = min(c.tries+1, math.MaxUint8-1)
	c.at = now.Add(helloGap(c.tries, m.contacts.waiting()))
	m.tellAddr(c.addr, wire.Announce{Hello: m.hello(c.nonce, 0, 0, helloMax)})
}

// endContact notes that an address has answered, or never will.
func (m *membership) endContact(c *contact) {
	m.contacts.end(c)
	if m.contacts.waiting() == 0 {
		m.out.changed = true // we may have joined
	}
}

// tickContacts sends the announcements that are due, and drops contacts that were in vain.
func (m *membership) tickContacts(now time.Time) {
	s := &m.contacts
	if s.at.IsZero() || now.Before(s.at) {
		return
	}
	s.at = time.Time{}
	s.list = slices.DeleteFunc(s.list, func(c *contact) bool {
		if !c.over && !now.Before(c.until) {
			m.endContact(c)
		}
		if c.over {
			return true
		}
		m.announceTo(now, c)
		s.at = earliest(s.at, c.at)
		return false
	})
}
