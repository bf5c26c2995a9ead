package linkmodel

// agrees lets the network behave from here on, and reports after how many rounds both sides talk by one link; 0: never.
// In a round each side says something on each link, twice; who hears nothing on its preferred link then doubts, LNK-9.
// Calls in flight go on for ever, and links that nobody confirms stay.
func (s *state) agrees() int {
	c := s.clone()
	for round := 1; round <= maxRounds; round++ {
		heard := c.talk()
		a, b := c.preferred(0), c.preferred(1)
		switch {
		case c.fault != "":
			s.fault = c.fault
			return 0
		case heard[0] && heard[1] && a.key == b.key:
			return round
		}
		c.doubt(heard)
	}
	return 0
}

const maxRounds = 8

// talk reports which side had its preferred link answered.
func (s *state) talk() (heard [2]bool) {
	for turn := range 2 {
		for me := range uint8(2) {
			for i := 0; i < int(s.p[me].n); i++ {
				said := s.p[me].links[i].key
				ok := s.say(me, &s.p[me].links[i])
				if pref := s.preferred(me); turn == 1 && ok && pref != nil && pref.key == said {
					heard[me] = true
				}
			}
		}
	}
	return heard
}

// say sends a datagram that arrives, and is the only one under way.
func (s *state) say(me uint8, l *link) bool {
	issued := s.msgs
	m := s.send(me, l, 0, false)
	ok := s.deliver(m)
	s.msgs = issued
	return ok
}

// doubt lets who heard nothing contact the other. A process that has no link knows nobody, unless neither has one.
func (s *state) doubt(heard [2]bool) {
	lone := s.p[0].n == 0 && s.p[1].n == 0
	for me := range uint8(2) {
		if !heard[me] && (s.p[me].n > 0 || lone) {
			s.open(me, true)
		}
	}
}

// open contacts the other, whose Offer arrives.
func (s *state) open(me uint8, doubt bool) {
	s.contact(me, s.openRank(me))
	s.p[me].contact.doubt = doubt
	s.p[1-me].left.Offers = 1
	s.deliver(s.msgs[len(s.msgs)-1])
	if last := s.msgs[len(s.msgs)-1]; last.kind == offer {
		s.deliver(last)
	}
}
