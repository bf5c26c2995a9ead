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
	p.spent = [6]key{}
	p.spents = uint8(copy(p.spent[:], kept))
}

// admit adds a link if there is room, LNK-7. Those to another process at the address go when it is confirmed.
func (s *state) admit(me uint8, l link) bool {
	p := &s.p[me]
	if p.n == 2 && !s.makeRoom(me, l) {
		return false
	}
	p.links[p.n] = l
	p.n++
	if l.confirmed {
		s.replace(me, l.key)
	}
	return true
}

// makeRoom closes one of two links for a third, or reports that the third has to go, LNK-7: of those that carry no calls, or
// are not heard, first those to another process than the third's, proving ones before others, then the lowest. What an Offer
// makes is not the lowest: the other end has just said what it holds.
func (s *state) makeRoom(me uint8, third link) bool {
	var low *link
	if third.confirmed {
		low = &third
	}
	for _, l := range s.p[me].links[:2] {
		if !s.isCarrying(me, l) && (low == nil || goesBefore(l, *low, third.process(1-me), 1-me)) {
			low = &l
		}
	}
	if low == nil || low.key == third.key {
		return false
	}
	if low.busy && s.lives(me, low.key) {
		s.fault = "cut"
	}
	s.close(me, low.key)
	return true
}

// isCarrying reports that a link is to be kept for the calls on it.
func (s *state) isCarrying(me uint8, l link) bool {
	return l.busy && s.lives(me, l.key) && !s.set.CutBusy
}

// goesBefore reports which of two links goes sooner for a third to that process of a side.
func goesBefore(a, b link, process, side uint8) bool {
	otherA, otherB := a.process(side) != process, b.process(side) != process
	switch {
	case otherA != otherB:
		return otherA
	case otherA && a.confirmed != b.confirmed:
		return !a.confirmed
	}
	return below(a.key, b.key)
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
	l.confirmed, l.ends = true, [2]key{}
	s.end(me, ends)
	s.replace(me, k)
}

// end closes links that the other end has lost, LNK-8.
func (s *state) end(me uint8, keys [2]key) {
	for _, k := range keys {
		if s.p[me].find(k) == nil {
			continue
		}
		if s.lives(me, k) {
			s.fault = "ended"
		}
		s.close(me, k)
	}
}
