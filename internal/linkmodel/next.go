package linkmodel

// next lists the states that one step leads to.
func (s *state) next() []*state {
	n := &nexts{from: s}
	for _, m := range s.msgs {
		n.try(step{"the network delivers to", m.to, m}, func(c *state) { c.deliver(m) })
		n.lie(m)
	}
	for me := range uint8(2) {
		n.contacts(me)
		n.time(me)
		n.ends(me)
		n.links(me)
	}
	return n.list
}

type nexts struct {
	from *state
	list []*state
}

func (n *nexts) try(did step, f func(*state)) {
	c := n.from.clone()
	c.did = did
	f(c)
	n.list = append(n.list, c)
}

// lie lets a member that hears an Open change its rank, or answer it in the name of the other: that this one holds
// nothing, or nearly the greatest rank.
func (n *nexts) lie(m message) {
	if n.from.lies == 0 || m.kind != open || m.forged {
		return
	}
	n.try(step{"a member raises the rank of an Open to", m.to, m}, func(c *state) {
		c.lies--
		c.cutOff = true
		raised := m
		raised.k.rank, raised.forged = c.set.maxRank(), true
		c.post(raised)
	})
	for _, held := range []uint8{0, rankTop - 2} {
		n.try(step{"a member answers in the name of", m.to, m}, func(c *state) { c.answerFor(m, held) })
	}
}

// answerFor answers an Open in the name of who it went to.
func (s *state) answerFor(m message, held uint8) {
	s.lies--
	s.cutOff = true
	k := m.k
	k.peer, k.rank, k.stamp = s.p[m.to].gen, 1+max(m.k.rank, held), 255
	s.post(message{kind: offer, to: 1 - m.to, k: k, held: held, forged: true})
}

// contacts begins one, also in place of one that got no answer, or gives it up, as when the other's Confirm came first.
func (n *nexts) contacts(me uint8) {
	p := &n.from.p[me]
	if p.left.Contacts > 0 {
		n.try(step{what: "contact by", side: me},
			func(c *state) { c.p[me].left.Contacts--; c.contact(me, c.openRank(me)) })
	}
	if p.left.Contacts > 0 && n.from.lies > 0 && p.gen == 0 { // who starts anew there is honest
		n.try(step{what: "contact with a false rank by", side: me}, func(c *state) {
			c.lies--
			c.cutOff = true
			c.p[me].left.Contacts--
			c.contact(me, c.set.maxRank())
		})
	}
	if p.contact.on {
		n.try(step{what: "contact given up by", side: me}, func(c *state) { c.p[me].contact = contact{} })
	}
}

// time lets the Offers so far become more than 5 s old, then more than 6 s.
func (n *nexts) time(me uint8) {
	p, batch := &n.from.p[me], n.from.set.BatchClock
	if batch && p.reader < p.aged {
		n.try(step{what: "next batch of", side: me}, func(c *state) { c.p[me].reader = c.p[me].aged })
	}
	if p.left.Ages == 0 {
		return
	}
	if p.offers > p.aged {
		n.try(step{what: "5 s pass at", side: me}, func(c *state) {
			c.cutOff = true
			c.p[me].age(batch)
		})
	}
	if p.aged > p.gone {
		n.try(step{what: "6 s pass at", side: me}, func(c *state) {
			c.p[me].left.Ages--
			c.p[me].dropSpent(c.p[me].aged)
		})
	}
}

func (p *proc) age(batch bool) {
	p.left.Ages--
	p.aged = p.offers
	if batch {
		p.dropSpent(p.aged)
		return
	}
	p.reader = p.aged
}

// ends closes all links of a process, or the process itself.
func (n *nexts) ends(me uint8) {
	p := &n.from.p[me]
	if p.left.Forgets > 0 && p.n > 0 {
		n.try(step{what: "Forget by", side: me}, func(c *state) {
			c.p[me].left.Forgets--
			c.cutOff = true
			for c.p[me].n > 0 {
				c.close(me, c.p[me].links[0].key)
			}
		})
	}
	if p.left.Restarts > 0 {
		n.try(step{what: "restart of", side: me}, func(c *state) {
			left := c.p[me].left
			left.Restarts--
			c.cutOff = true
			c.p[me] = proc{gen: c.p[me].gen + 1, left: left}
		})
	}
}

// links lets each link carry something, or end.
func (n *nexts) links(me uint8) {
	s := n.from
	pref := s.preferred(me)
	for i, l := range s.p[me].links[:s.p[me].n] {
		if l.sent < s.set.Sends {
			n.try(step{what: "datagram from", side: me}, func(c *state) { c.send(me, &c.p[me].links[i], 0, false) })
		}
		if me == 0 && l.confirmed && pref.key == l.key && s.p[me].left.Calls > 0 {
			n.try(step{what: "call, said twice, from", side: me}, func(c *state) { c.call(me, &c.p[me].links[i]) })
		}
		if me == 1 && l.busy {
			n.try(step{what: "reply from", side: me}, func(c *state) { c.reply(me, &c.p[me].links[i]) })
		}
		if (!l.confirmed || pref.key != l.key) && !(l.busy && s.lives(me, l.key)) {
			n.try(step{what: "drained, or never confirmed: closed by", side: me}, func(c *state) {
				c.cutOff = c.cutOff || !l.confirmed
				c.close(me, l.key)
			})
		}
	}
}

// call sends a call on the link that it is bound to, and sends it again.
func (s *state) call(me uint8, l *link) {
	call := s.p[me].left.Calls
	s.p[me].left.Calls--
	l.busy = true
	s.send(me, l, call, false)
	s.send(me, l, call, false)
}

func (s *state) reply(me uint8, l *link) {
	l.busy = false
	s.send(me, l, 0, true)
}
