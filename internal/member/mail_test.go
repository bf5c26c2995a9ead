package member

import (
	"container/heap"
	"net/netip"
	"time"

	"broach/internal/handshake"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// What is between the processes of a society: datagrams on their way, and what the reader of a node does with those
// that begin links.

// letter is a datagram on its way: an Open, an Offer, or a message on a link.
type letter struct {
	at      time.Time
	n       int
	from    *citizen
	source  netip.AddrPort
	to      netip.AddrPort
	open    *wire.Open
	offer   *wire.Offer
	token   uint64
	confirm *handshake.Terms
	msg     wire.Message
	size    int
	tver    uint32
}

// mail is ordered by when it arrives. It holds pointers: a letter is large, and moves with each that comes or goes.
type mail []*letter

func (m mail) Len() int { return len(m) }
func (m mail) Less(i, j int) bool {
	return m[i].at.Before(m[j].at) || m[i].at.Equal(m[j].at) && m[i].n < m[j].n
}
func (m mail) Swap(i, j int) { m[i], m[j] = m[j], m[i] }
func (m *mail) Push(v any)   { *m = append(*m, v.(*letter)) }
func (m *mail) Pop() any {
	old := *m
	l := old[len(old)-1]
	old[len(old)-1] = nil
	*m = old[:len(old)-1]
	return l
}

// postOpen puts an Open on its way, or loses it.
func (s *society) postOpen(c *citizen, o Open) {
	if s.opened != nil {
		s.opened(c, o.To)
	}
	m := &wire.Open{Rank: o.Rank, Token: o.Token, Key: c.process.Key, Addr: o.Self, Number: uint64(s.count + 1)}
	c.NoteAsked(m.Number, o)
	if !s.loses(nil) {
		s.send(&letter{from: c, to: o.To, open: m, size: wire.OpenSize})
	}
}

// post puts a message on its way, or loses it.
func (s *society) post(c *citizen, o Message) {
	b := c.links[o.Link]
	if b == nil || b.spent {
		return
	}
	l := &letter{from: c, msg: o.Msg, size: wire.HeaderSize + len(o.Msg.Append(nil)), tver: c.tver}
	if b.confirm {
		l.confirm, l.size = b.terms, l.size+wire.ConfirmMore
	}
	l.to, l.token = b.to()
	if l.size > wire.ControlPacket { // require takes longer than all else here
		require.LessOrEqual(s.t, l.size, wire.ControlPacket)
	}
	if s.spy != nil {
		s.spy(c, l.to, o.Msg, l.size)
	}
	if !s.loses(o.Msg) {
		s.send(l)
	}
}

// loses decides about a datagram. A message of nil is that of an Open or Offer.
func (s *society) loses(msg wire.Message) bool {
	s.count++
	return msg != nil && s.drop != nil && s.drop(msg) || s.rng.Float64() < s.loss
}

func (s *society) send(l *letter) {
	s.count++
	l.n, l.source = s.count, l.from.sourceTo(l.to)
	l.at = s.now.Add(s.delay + 100*time.Microsecond + time.Duration(s.rng.IntN(50))*time.Microsecond)
	heap.Push(&s.mail, l)
}

// reached is who gets a letter. The loopback leads to nobody elsewhere.
func (s *society) reached(l *letter) *citizen {
	if !l.to.Addr().IsLoopback() {
		return s.at(l.to)
	}
	for _, c := range s.members {
		if c.local == l.to && c.host == l.from.host && !c.dead {
			return c
		}
	}
	return nil
}

// deliver gives a letter to the process at its address.
func (s *society) deliver(l *letter) {
	c := s.reached(l)
	switch {
	case c == nil || s.cut != nil && s.cut(l.from, c):
		return
	case c.stopped:
		l.at = s.now.Add(10 * time.Millisecond) // it waits in the socket
		heap.Push(&s.mail, l)
		return
	case l.open != nil:
		s.answer(c, l)
		return
	case l.offer != nil:
		if !c.openings[l.offer.Echo] {
			return
		}
		c.Offered(s.now, Answered{Offer: *l.offer, From: l.source})
	case !s.take(c, l):
		return
	}
	s.collect(c)
}

// answer is what the reader of a node does with an Open.
func (s *society) answer(c *citizen, l *letter) {
	m, self := *l.open, c.cfg.Self
	if m.Key == c.process.Key {
		c.CameBack(s.now, CameBack{Token: m.Token, Number: m.Number})
		s.collect(c)
		return
	}
	if !m.Addr.Addr().IsUnspecified() && !IsUsable(l.source, m.Addr) {
		return
	}
	if c.learner.on && AsksBack(s.now, self, m.Addr, c.isUnheard(s.now), &c.asks) {
		s.postOpen(c, Open{To: m.Addr, Token: c.learner.tokens[0], Self: Nowhere(self)})
		return
	}
	var held uint32
	for _, b := range c.links {
		if at, _ := b.to(); at == m.Addr && b.key() == m.Key && !b.spent {
			held = max(held, b.terms.Rank)
		}
	}
	o := c.process.Answer(s.now, m, self, l.source, held)
	if held == 0 && c.IsFull(s.now) && c.peers.byAddr[m.Addr] == nil || c.cfg.Guest {
		o.Token, o.Rank = 0, 0
	}
	to := m.Addr
	if to.Addr().IsUnspecified() {
		to = l.source
	}
	if !s.loses(nil) {
		s.send(&letter{from: c, to: to, offer: &o, size: wire.OpenSize})
	}
}

// take gives a machine a message on a link, which a Confirm may make.
func (s *society) take(c *citizen, l *letter) bool {
	b := c.links[l.token]
	if b == nil && l.confirm != nil && !s.makeLink(c, l.confirm, l.tver) {
		return false
	}
	b = c.links[l.token]
	if b == nil || b.spent {
		return false
	}
	b.confirm = false
	c.Receive(s.now, Source{Addr: l.from.cfg.Self, Link: l.token, Tver: l.tver, Size: l.size}, l.msg)
	return true
}

// makeLink is what the reader of a node does with a Confirm.
func (s *society) makeLink(c *citizen, terms *handshake.Terms, tver uint32) bool {
	confirm := wire.Confirm{Echo: terms.TokenA, Key: terms.KeyA, Addr: terms.AddrA, Rank: terms.Rank,
		Stamp: terms.Stamp}
	confirm.Token = terms.TokenB
	if !c.process.IsOurs(s.now, confirm) {
		return false
	}
	c.links[terms.TokenB] = &bond{terms: terms}
	id := wire.Process{Boot: handshake.BootID(terms.KeyA), Addr: terms.AddrA}
	if tver == 0 {
		c.MadeGuest(s.now, id, terms.TokenB, terms.Order())
	} else {
		c.Made(s.now, id, terms.TokenB, terms.Order())
	}
	return true
}
