package linkmodel

import "slices"

// close removes a link. The token of one that the other began is spent until 6 s are over, LNK-3.
func (s *state) close(me uint8, k key) {
	p := &s.p[me]
	i := slices.IndexFunc(p.links[:p.n], func(l link) bool { return l.key == k })
	if i < 0 {
		return
	}
	if k.side != me && !s.set.NoSpent && k.stamp > p.gone {
		p.spent[p.spents] = k
		p.spents++
	}
	copy(p.links[i:], p.links[i+1:p.n])
	p.n--
	p.links[p.n] = link{}
}

// dropSpent forgets the tokens of Offers that are too old in any case.
func (p *proc) dropSpent(upTo uint8) {
	p.gone = upTo
	kept := slices.DeleteFunc(slices.Clone(p.spent[:p.spents]), func(k key) bool { return k.stamp <= upTo })
	p.spent = [len(p.spent)]key{}
	p.spents = uint8(copy(p.spent[:], kept))
}

// mayBegin reports whether an Offer makes a link beside those that there are, LNK-7. It takes the place of none until
// it is confirmed.
func (s *state) mayBegin(me uint8) bool {
	list := s.p[me].confirmed()
	hasRoom := len(list) < 2 || slices.ContainsFunc(list, func(l *link) bool { return !s.isCarrying(me, *l) })
	return hasRoom && s.p[me].n < linksMost
}

// admit makes the link of a Confirm if it stays, LNK-7.
func (s *state) admit(me uint8, l link) bool {
	if !s.isKept(me, l) || s.p[me].n == linksMost {
		return false
	}
	s.add(me, l)
	s.settle(me, l.key)
	return true
}

// isKept reports whether the link of a Confirm stays beside those that there are: one that carries no calls can go for
// it, or it is the highest, and who began it may hold none of the others.
func (s *state) isKept(me uint8, third link) bool {
	list := s.p[me].links[:s.p[me].n]
	isOther := func(l link) bool { return l.process(1-me) != third.process(1-me) }
	goes := func(l link) bool { return !s.isCarrying(me, l) && (isOther(l) || below(l.key, third.key)) }
	stays := func(l link) bool { return isOther(l) || below(third.key, l.key) }
	return len(list) < 2 || slices.ContainsFunc(list, goes) || !slices.ContainsFunc(list, stays)
}

func (s *state) add(me uint8, l link) {
	p := &s.p[me]
	p.links[p.n] = l
	p.n++
}

// settle gives a link that both ends have now its place among the others: those to another process go, LNK-10, and of
// three to this one goes, LNK-7.
func (s *state) settle(me uint8, k key) {
	s.replace(me, k)
	others := slices.DeleteFunc(s.p[me].confirmed(), func(l *link) bool { return l.key == k })
	if len(others) < 2 {
		return
	}
	slices.SortFunc(others, func(a, b *link) int { return compare(a.key, b.key) })
	if low := s.lowestIdle(me, others, k); low != nil {
		s.close(me, low.key)
	} else if len(others) == confirmedMost {
		s.close(me, others[0].key)
	}
}

// lowestIdle is the link that goes for another, or nil: the lowest that is not kept for its calls. The best stays
// unless the other is better yet.
func (s *state) lowestIdle(me uint8, others []*link, k key) *link {
	best := others[len(others)-1]
	for _, l := range others {
		if !s.isCarrying(me, *l) && (l != best || below(l.key, k)) {
			if l.busy && s.lives(me, l.key) {
				s.fault = "cut"
			}
			return l
		}
	}
	return nil
}

// isCarrying reports that a link is to be kept for the calls on it.
func (s *state) isCarrying(me uint8, l link) bool {
	return l.busy && s.lives(me, l.key) && !s.set.CutBusy
}

// replace closes the links with any other process at the address than that of a confirmed link, LNK-10.
func (s *state) replace(me uint8, k key) {
	p := &s.p[me]
	for i := int(p.n) - 1; i >= 0; i-- {
		l := p.links[i]
		if l.process(1-me) == k.process(1-me) {
			continue
		}
		if l.confirmed && l.process(1-me) > k.process(1-me) {
			s.fault = "revived"
		}
		s.close(me, l.key)
	}
}

// confirm notes the first datagram accepted on a link that this side began.
func (s *state) confirm(me uint8, l *link) {
	ends, k := l.ends, l.key
	l.confirmed, l.ends = true, keys{}
	s.end(me, ends)
	s.settle(me, k)
}

// end closes links that the other end has lost, LNK-8.
func (s *state) end(me uint8, gone keys) {
	for _, k := range gone {
		if s.p[me].find(k) == nil {
			continue
		}
		if s.lives(me, k) {
			s.fault = "ended"
		}
		s.close(me, k)
	}
}
