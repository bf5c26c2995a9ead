package linkmodel

import (
	"cmp"
	"hash/maphash"
	"slices"
)

// key names a link and all its keys: what its transcript hash covers.
type key struct {
	side, gen, tok uint8 // who began, which process of that address, and its token
	peer           uint8 // which process of the other address
	rank, stamp    uint8
}

// process is which one of an address has this link, seen from either side.
func (k key) process(side uint8) uint8 {
	if k.side == side {
		return k.gen
	}
	return k.peer
}

// keys are those of all confirmed links that a process may hold.
type keys [confirmedMost]key

const (
	confirmedMost = 3 // LNK-7
	linksMost     = 8 // with those that are not confirmed: more than the budgets come to
)

type link struct {
	key
	confirmed bool
	busy      bool   // a call is in flight
	sent      uint8  // numbers used
	window    uint16 // numbers accepted
	served    uint8  // calls that ran
	birth     uint8  // the last own stamp when this side made it
	ends      keys   // links that the other has no more by its Offer: closed when this one is confirmed
}

type contact struct {
	on        bool
	doubt     bool
	tok, rank uint8
	old       keys // links confirmed before it began
}

// proc is a process. The second group outlives it.
type proc struct {
	gen     uint8
	toks    uint8 // tokens drawn
	offers  uint8 // stamp of the last Offer
	aged    uint8 // Offers up to this one are more than 5 s old
	reader  uint8 // the same as the reader sees it, which differs with BatchClock
	gone    uint8 // and more than 6 s old
	doubts  uint8 // in a row that were answered by a sign of life
	contact contact
	links   [linksMost]link
	n       uint8
	spents  uint8
	spent   [8]key

	left Budget
}

type kind uint8

const (
	open kind = iota + 1
	offer
	data
)

type message struct {
	kind    kind
	to      uint8
	k       key // of an Open: side, gen, tok, and rank as sent
	held    uint8
	number  uint8
	confirm bool
	call    uint8 // 0: none
	reply   bool
	forged  bool // by a member: nobody made this Offer
	taken   bool // accepted once
}

// state is all there is. The network never forgets a message.
type state struct {
	p     [2]proc
	msgs  []message
	ran   [4]uint8
	lies  uint8
	fault string

	cutOff bool // an end has lost links for another reason than LNK-7, and only doubt tells the other

	set *Setting
	did step // what led here
}

// step is one thing that happened, for a trace.
type step struct {
	what string
	side uint8
	msg  message
}

func begin(set *Setting) *state {
	s := &state{set: set, lies: set.Lies}
	for range set.Links {
		s.open(0, false)
		s.talk()
	}
	for me := range s.p {
		s.p[me].begin(set)
	}
	s.msgs = nil
	return s
}

// begin lets the links that stand carry calls, and makes all before forgotten.
func (p *proc) begin(set *Setting) {
	for i, l := range p.links[:p.n] {
		p.links[i] = link{key: l.key, confirmed: true, busy: true, birth: l.birth}
	}
	p.left = set.Budget
}

func (s *state) clone() *state {
	c := *s
	c.msgs = slices.Clone(s.msgs)
	return &c
}

// hash tells states apart: in 64 bits, and whatever the order in which messages were sent.
func (s *state) hash(seed maphash.Seed) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	maphash.WriteComparable(&h, s.p)
	maphash.WriteComparable(&h, s.ran)
	maphash.WriteComparable(&h, s.cutOff)
	sum := uint64(s.lies)
	for _, m := range s.msgs {
		sum += maphash.Comparable(seed, m)
	}
	maphash.WriteComparable(&h, sum)
	return h.Sum64()
}

func (p *proc) find(k key) *link {
	for i := range p.links[:p.n] {
		if p.links[i].key == k {
			return &p.links[i]
		}
	}
	return nil
}

// confirmed lists the links that both ends are known to have had.
func (p *proc) confirmed() (list []*link) {
	for i := range p.links[:p.n] {
		if p.links[i].confirmed {
			list = append(list, &p.links[i])
		}
	}
	return list
}

// held is the highest rank of the links with a process at the address of a side.
func (p *proc) held(side, gen uint8) (rank uint8) {
	for _, l := range p.links[:p.n] {
		if l.process(side) == gen {
			rank = max(rank, l.rank)
		}
	}
	return rank
}

// highest is the highest rank of all links to the other address.
func (p *proc) highest() (rank uint8) {
	for _, l := range p.links[:p.n] {
		rank = max(rank, l.rank)
	}
	return rank
}

// below orders links of a pair, LNK-6: rank, then the greater public key of who began, which side 1 has, then the later
// stamp.
func below(a, b key) bool { return compare(a, b) < 0 }

func compare(a, b key) int {
	return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.side, b.side), cmp.Compare(a.stamp, b.stamp))
}

// preferred is the highest confirmed link, or nil.
func (s *state) preferred(me uint8) (best *link) {
	p := &s.p[me]
	for i := range p.links[:p.n] {
		if l := &p.links[i]; l.confirmed && (best == nil || s.set.LastPreferred || below(best.key, l.key)) {
			best = l
		}
	}
	return best
}

// lives reports that the other end of a link holds it as well.
func (s *state) lives(me uint8, k key) bool {
	other := &s.p[1-me]
	return other.gen == k.process(1-me) && other.find(k) != nil
}
