package linkmodel

import "slices"

// post hands a message to the network.
func (s *state) post(m message) {
	for _, o := range s.msgs {
		if m.kind == data && o.kind == data && o.k == m.k && o.to == m.to && o.number == m.number {
			s.fault = "reuse"
		}
		o.taken = false
		if o == m {
			return
		}
	}
	s.msgs = append(s.msgs, m)
}

// contact begins to contact the other address, with a token of its own.
func (s *state) contact(me, rank uint8) {
	p := &s.p[me]
	p.toks++
	c := contact{on: true, tok: p.toks, rank: rank}
	for i, l := range p.confirmed() {
		c.old[i] = l.key
	}
	p.contact = c
	s.post(message{kind: open, to: 1 - me, k: key{side: me, gen: p.gen, tok: c.tok, rank: rank}})
}

// openRank is what an honest Open says: the highest rank to that address, or 0 if that might be another's doing.
func (s *state) openRank(me uint8) uint8 {
	rank := s.p[me].highest()
	if rank > s.set.maxRank() && !s.set.HighRank {
		return 0
	}
	return rank
}

// send seals a datagram on a link.
func (s *state) send(me uint8, l *link, call uint8, reply bool) message {
	l.sent++
	m := message{kind: data, to: 1 - me, k: l.key, number: l.sent, confirm: !l.confirmed, call: call, reply: reply}
	s.post(m)
	return m
}

// deliver hands a message to the process that is now at its address. It reports whether that accepted a datagram of a
// link.
func (s *state) deliver(m message) bool {
	switch m.kind {
	case open:
		s.takeOpen(m.to, m)
	case offer:
		s.takeOffer(m.to, m)
	case data:
		return s.takeData(m.to, m)
	}
	return false
}

// takeOpen answers with an Offer, LNK-1.
func (s *state) takeOpen(me uint8, m message) {
	p := &s.p[me]
	held := p.held(m.k.side, m.k.gen)
	if p.left.Offers == 0 || m.k.rank > s.set.maxRank() || held >= rankTop {
		return
	}
	p.left.Offers--
	p.offers++
	k := m.k
	k.peer, k.rank, k.stamp = p.gen, max(k.rank, held)+1, p.offers
	s.post(message{kind: offer, to: 1 - me, k: k, held: held})
}

// takeOffer makes a link, LNK-2, or takes it as a sign of life, LNK-9.
func (s *state) takeOffer(me uint8, m message) {
	p := &s.p[me]
	c := p.contact
	if !c.on || c.tok != m.k.tok || m.k.gen != p.gen {
		return
	}
	p.contact = contact{}
	if s.isSign(me, c, m) {
		p.doubts++
		return
	}
	p.doubts = 0
	l := link{key: m.k, birth: p.offers, ends: lost(c, m, me)}
	if s.set.EarlyHeld {
		s.end(me, l.ends)
		l.ends = keys{}
	}
	if s.mayBegin(me) {
		s.add(me, l)
	}
}

// isSign reports that an Offer says that the process we doubt holds our link. The second in a row makes a link.
func (s *state) isSign(me uint8, c contact, m message) bool {
	l := s.preferred(me)
	return c.doubt && l != nil && l.process(1-me) == m.k.peer && m.held >= l.rank && s.p[me].doubts == 0
}

// lost lists the links confirmed before a contact began that the process there has no more, as its Offer says.
func lost(c contact, m message, me uint8) (gone keys) {
	for i, k := range c.old {
		if k.rank > m.held && k.process(1-me) == m.k.peer {
			gone[i] = k
		}
	}
	return gone
}

// takeData takes a datagram of a link, which a Confirm may make.
func (s *state) takeData(me uint8, m message) bool {
	p := &s.p[me]
	if p.find(m.k) == nil && !s.makeLink(me, m) {
		return false
	}
	l := p.find(m.k)
	if l.window&(1<<m.number) != 0 {
		return false
	}
	l.window |= 1 << m.number
	s.take(m)
	s.serve(l, m)
	if !l.confirmed {
		s.confirm(me, l)
	}
	return true
}

// makeLink makes the link of a Confirm, LNK-3.
func (s *state) makeLink(me uint8, m message) bool {
	p := &s.p[me]
	switch {
	case !m.confirm, m.k.side == me, m.k.peer != p.gen, !s.issued(m.k):
		return false
	case m.k.stamp <= p.reader && !s.set.NoAge, slices.Contains(p.spent[:p.spents], m.k):
		return false
	case !s.set.Revive && s.isLate(me, m.k):
		return false
	}
	return s.admit(me, link{key: m.k, confirmed: true})
}

// issued reports that an Offer was made by who it says: its token is no other's.
func (s *state) issued(k key) bool {
	return slices.ContainsFunc(s.msgs, func(m message) bool { return m.kind == offer && m.k == k && !m.forged })
}

// isLate reports that a Confirm was held back until another process was there, LNK-10.
func (s *state) isLate(me uint8, k key) bool {
	p := &s.p[me]
	return slices.ContainsFunc(p.links[:p.n], func(l link) bool {
		birth := l.stamp
		if l.side == me {
			birth = l.birth
		}
		return l.confirmed && l.process(1-me) != k.gen && birth >= k.stamp
	})
}

// take notes that a datagram was accepted.
func (s *state) take(m message) {
	for i := range s.msgs {
		o := &s.msgs[i]
		if o.kind != data || o.k != m.k || o.to != m.to || o.number != m.number {
			continue
		}
		if o.taken {
			s.fault = "replay"
		}
		o.taken = true
	}
}

// serve runs a call once on a link, or takes its reply.
func (s *state) serve(l *link, m message) {
	switch {
	case m.reply:
		l.busy = false
	case m.call > 0 && l.served&(1<<m.call) == 0:
		l.served |= 1 << m.call
		l.busy = true
		if s.ran[m.call]++; s.ran[m.call] > 1 {
			s.fault = "once"
		}
	}
}
