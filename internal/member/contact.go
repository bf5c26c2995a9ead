package member

import (
	"math"
	"net/netip"
	"slices"
	"time"

	"broach/internal/handshake"
	"broach/internal/pace"
	"broach/internal/wire"
)

const (
	contactFor   = 5 * time.Second        // how long the answer of an address is waited for
	contactTries = 3                      // Opens to an address that others named, [AMP-3]
	yieldFor     = 100 * time.Millisecond // of two processes told of each other, how long one lets the other begin
)

// contact is an address to which we send Opens, until the process there answers.
type contact struct {
	addr    netip.AddrPort
	token   uint64 // stays the same, so that a late answer counts; 0: a link has it now
	rank    uint32 // the highest of the links that we hold to the address
	began   time.Time
	at      time.Time // of the next Open; zero: there is none
	until   time.Time
	tries   uint8     // Opens sent
	last    time.Time // when the last one was
	paid    uint8     // Opens that the words which named it still pay for; none are needed for an address that we know
	again   uint8     // Opens that are still to go to an address that we know, until it answers
	origin  origin
	doubt   bool // a peer is there, and does not answer
	over    bool
	goAhead goAhead

	kept *Answered // an Offer that waits for the other end, whose Open crossed ours; nil: there is none
}

// An origin is whose word a contact with an address goes by: what that may make us send is bounded.
type origin uint8

const (
	fromUs     origin = iota // the address of a seed or a peer, which has no bound
	fromAnswer               // another named it when we asked, for which half of the room is kept
	fromOthers               // another named it by itself
)

// contactSet holds the contacts in the order they were made.
type contactSet struct {
	byAddr  map[netip.AddrPort]*contact
	byToken map[uint64]*contact
	list    []*contact // and some that are over
	at      time.Time  // when the first is due, or earlier; zero: none
	named   int        // those that we know by others' words, but for answers to our Joins
	opens   pace.Quota // to addresses that others named
}

func (s *contactSet) init() {
	s.byAddr, s.byToken = make(map[netip.AddrPort]*contact), make(map[uint64]*contact)
}

func (s *contactSet) addContact(c *contact) {
	s.byAddr[c.addr], s.byToken[c.token] = c, c
	s.list = append(s.list, c)
	if c.origin == fromOthers {
		s.named++
	}
}

// take makes a contact that others' words began one of our own: we know the address.
func (s *contactSet) take(c *contact) {
	if c.origin == fromOthers {
		s.named--
	}
	c.origin, c.again, c.paid = fromUs, min(c.paid, contactTries-1), 0
}

// due is when something is to be done for a contact.
func (c *contact) due() time.Time { return pace.Earliest(c.at, c.until) }

// removeContact removes a contact from all but the list, which tickContacts tidies. Maps keep the room that they once
// needed, which after joining a large cluster is more than all the rest: they are made anew.
func (s *contactSet) removeContact(c *contact) {
	c.over = true
	if c.origin == fromOthers {
		s.named--
	}
	delete(s.byAddr, c.addr)
	delete(s.byToken, c.token)
	if len(s.byAddr) == 0 {
		s.init()
	}
}

// waiting is the number of addresses that have not answered.
func (s *contactSet) waiting() int { return len(s.byAddr) }

// contact begins to open to an address that we know: a seed's, or that of a peer. If it is contacted already another
// Open goes. While we do not know our own address it is asked for that, which is no contact.
func (m *Membership) contact(now time.Time, addr netip.AddrPort) *contact {
	if m.isLearning() {
		m.askAddress(addr)
		return nil
	}
	c := m.contacts.byAddr[addr]
	if c == nil {
		c = m.newContact(now, contact{addr: addr})
	}
	if c != nil && c.origin != fromUs {
		m.contacts.take(c)
	}
	if c != nil && c.kept == nil {
		c.until = now.Add(contactFor)
		m.openTo(now, c)
	}
	return c
}

// contactAll contacts peers of a kind at once, and returns how many. Nothing else is about to begin with them: so an
// Open to each goes again until it is answered, for one may be lost, or the answer.
func (m *Membership) contactAll(now time.Time, isMeant func(*peer) bool) (count int) {
	for _, p := range m.peers.list {
		if !isMeant(p) {
			continue
		}
		count++
		if c := m.contacts.byAddr[p.Addr]; c != nil && c.again > 0 {
			continue // it goes on
		}
		if c := m.contact(now, p.Addr); c != nil {
			c.again = contactTries - 1
			m.planOpen(now, c)
		}
	}
	return count
}

// planOpen plans the next of several Opens, if none is planned yet. Those of a series count alone: many may have gone
// before it.
func (m *Membership) planOpen(now time.Time, c *contact) {
	count := c.tries
	if c.again > 0 {
		count = contactTries - c.again
	}
	if c.at.IsZero() {
		c.at = now.Add(m.helloGap(count, m.crowd()))
	}
	m.contacts.at = pace.Earliest(m.contacts.at, c.at)
}

// contactNamed begins to open to an address that another named, who has paid for one Open or more. Of two told of each
// other one may yield: the other may be about to begin. It returns nil where that pays for nothing: there is no room,
// or what was paid for before is not spent yet.
func (m *Membership) contactNamed(now time.Time, addr netip.AddrPort, from origin, yield bool) *contact {
	c := m.contacts.byAddr[addr]
	switch {
	case c == nil:
		c = m.newContact(now, contact{addr: addr, origin: from})
	case c.origin == fromUs || c.paid > 0:
		return nil // what is paid for is yet to come
	default:
		c.until = now.Add(contactFor)
	}
	if c == nil {
		return nil
	}
	c.paid = 1
	switch {
	case c.kept != nil:
	case c.tries > 0:
		c.at = pace.Later(now, c.last.Add(m.helloGap(c.tries, m.crowd())))
		m.contacts.at = pace.Earliest(m.contacts.at, c.at)
	case yield:
		c.at = now.Add(yieldFor)
		m.contacts.at = pace.Earliest(m.contacts.at, c.at)
	default:
		m.openTo(now, c)
	}
	return c
}

// newContact makes a contact, or none if the address is of no use or there are too many.
func (m *Membership) newContact(now time.Time, c contact) *contact {
	s := &m.contacts
	if m.isLearning() || c.addr == m.cfg.Self || !IsUsable(c.addr, c.addr) {
		return nil
	}
	if s.waiting()+len(m.provings) >= contactsMax || c.origin == fromOthers && s.named >= contactsMax/2 {
		return nil
	}
	c.token, c.began, c.until = m.cfg.Open(1), now, now.Add(contactFor)
	if p := m.peers.byAddr[c.addr]; p != nil {
		c.rank = p.rank()
	}
	s.addContact(&c)
	s.at = pace.Earliest(s.at, c.until)
	return &c
}

// openTo sends an Open, if it is paid for and not too many were sent, [AMP-2] and [AMP-3].
func (m *Membership) openTo(now time.Time, c *contact) {
	c.at = time.Time{}
	if at := c.goAhead.wait(now, &m.strain, byPlan); !at.IsZero() {
		c.at = at
		m.contacts.at = pace.Earliest(m.contacts.at, at)
		return
	}
	if c.origin != fromUs {
		if c.paid == 0 || !m.contacts.opens.Take(now, c.origin == fromAnswer, opensPerSec/2, opensPerSec/2) {
			return
		}
		c.paid--
	} else if c.again > 0 {
		c.again--
	}
	c.tries, c.last = min(c.tries+1, math.MaxUint8-1), now
	if c.paid > 0 || c.again > 0 {
		m.planOpen(now, c)
	}
	if m.learner.on && asksInstead(m.cfg.Self, c.addr) {
		m.askAddress(c.addr)
		return
	}
	m.out.Opens = append(m.out.Opens, Open{To: c.addr, Token: c.token, Rank: c.rank, Self: m.cfg.Self})
}

// contactOther contacts the address that an Offer names in place of the one of a seed that was asked. The Offer has
// paid for one Open.
func (m *Membership) contactOther(now time.Time, c *contact, o Answered) {
	m.endContact(c)
	if !m.joining.alias(now, c.addr, o.Addr) {
		return
	}
	if p := m.peers.byAddr[o.Addr]; p == nil || !p.isMember() {
		m.contactNamed(now, o.Addr, fromAnswer, false)
	}
}

// endContact notes that an address has answered, or never will.
func (m *Membership) endContact(c *contact) {
	if c.over {
		return
	}
	if c.token != 0 {
		m.out.Forget = append(m.out.Forget, c.token)
	}
	m.contacts.removeContact(c)
	if m.contacts.waiting() == 0 || m.cfg.Guest {
		m.out.Changed = true // we may have joined, or, as a guest, cannot reach somebody
	}
}

// tickContacts sends the Opens that are due, and drops contacts that were in vain.
func (m *Membership) tickContacts(now time.Time) {
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
		s.at = pace.Earliest(s.at, c.due())
	}
	s.list = append(due, s.list...)
}

func (m *Membership) tickContact(now time.Time, c *contact) {
	switch {
	case c.over:
	case !now.Before(c.until):
		m.endContact(c)
	case c.at.IsZero() || now.Before(c.at):
	case c.kept != nil:
		m.begin(now, c, *c.kept, handshake.BootID(c.kept.Key))
	default:
		m.openTo(now, c)
	}
}

// Open is an Open to be sent.
type Open struct {
	To    netip.AddrPort
	Token uint64
	Rank  uint32
	Self  netip.AddrPort
}

// highest is the highest rank of the links that we hold to a peer; 0: there is none.
func (p *peer) highest() uint32 {
	rank := p.tie.order.Rank
	for _, t := range p.others() {
		rank = max(rank, t.order.Rank)
	}
	return rank
}

// rank is that of an Open to a peer: the highest, unless no honest process comes to that.
func (p *peer) rank() uint32 {
	if rank := p.highest(); rank < handshake.RankMax {
		return rank
	}
	return 0
}

// Over the limit of members a process is let in by some and not by others, who say so. Those who are let in go on
// naming the others in Lists, and would make it ask them all again and again.

const declinedFor = time.Minute // how long who has no room for us is not contacted because others name it

// declined are the processes that had no room for us, and until when that counts. They are as many as may be contacted.
type declined map[wire.Process]time.Time

// isFresh reports whether a process had no room for us a moment ago.
func (d declined) isFresh(now time.Time, id wire.Process) bool { return now.Before(d[id]) }

// noteDeclined notes that a process has no room for us.
func (m *Membership) noteDeclined(now time.Time, id wire.Process) {
	if m.declined == nil || len(m.declined) >= contactsMax {
		m.declined = make(declined)
	}
	m.declined[id] = now.Add(declinedFor)
	delete(m.joining.missing, id.Addr)
}

// refused reports whether a message ends a link of ours that was not confirmed: the other end does not want it, and
// never was a member for us.
func (m *Membership) refused(now time.Time, link uint64, msg wire.Message) bool {
	if _, ok := msg.(wire.Leave); !ok {
		return false
	}
	i := slices.IndexFunc(m.provings, func(pr *proving) bool { return pr.token == link })
	if i < 0 {
		return false
	}
	m.noteDeclined(now, m.provings[i].Process)
	m.Unmade(link)
	m.out.Close, m.out.Changed = append(m.out.Close, link), true
	return true
}
