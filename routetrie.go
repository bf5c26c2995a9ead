package broach

import (
	"hash/maphash"
	"math/bits"
	"slices"
)

// routeTable finds routes by the names of their functions. It is a hash array mapped trie (Bagwell 2001, "Ideal Hash Trees"): a
// table that differs from another by a few names shares the rest with it. So a new view costs what has changed, and calls go on
// reading the one before without a lock. The zero value is empty.
type routeTable struct {
	root    *routeNode
	edition uint64 // nodes and routes of this edition are in no other table yet, and are changed in place; all others are copied
}

// routeNode holds the names whose hashes lead here: each level of nodes goes by the next five bits.
type routeNode struct {
	edition uint64
	taken   uint32      // bit i is set if there are names with i in those five bits
	slots   []routeSlot // one for each bit set, in their order
}

// routeSlot holds one name, or a node for several.
type routeSlot struct {
	only *route
	more *routeNode
}

const (
	slotBits      = 5
	levelsPerHash = 64 / slotBits
)

// routeSeed makes where a name stands a secret: nobody can find names that stand in one long branch.
var routeSeed = maphash.MakeSeed()

// hashOf hashes a name.
func hashOf(name string) uint64 { return maphash.String(routeSeed, name) }

// slotBitsOf says where the way to a name goes on at a level.
func slotBitsOf(name string, hash uint64, level int) uint64 {
	if level < levelsPerHash {
		return hash >> (level * slotBits) % (1 << slotBits)
	}
	return laterTurn(name, level)
}

// laterTurn is turn where the hash is used up. Another one is taken there: names that have the first in common differ in a
// later one.
func laterTurn(name string, level int) uint64 {
	return maphash.Comparable(routeSeed, struct {
		level int
		name  string
	}{level, name}) % (1 << slotBits)
}

// get returns the route of a function, or nil.
func (t *routeTable) get(name string) *route {
	return t.root.find(name, hashOf(name), 0)
}

// find returns the route of a name below a node of a level, or nil.
func (n *routeNode) find(name string, hash uint64, level int) *route {
	for ; n != nil; level++ {
		bit, i := n.place(slotBitsOf(name, hash, level))
		if n.taken&bit == 0 {
			return nil
		}
		s := &n.slots[i]
		if s.only != nil {
			return s.only.named(name)
		}
		n = s.more
	}
	return nil
}

// named is the route if it has the name, else nil.
func (r *route) named(name string) *route {
	if r.name != name {
		return nil
	}
	return r
}

// put takes up a route, in place of one of the same name.
func (t *routeTable) put(r *route) {
	t.root = t.root.with(t.edition, r, hashOf(r.name), 0)
}

// remove takes a route out.
func (t *routeTable) remove(name string) {
	t.root = t.root.without(t.edition, name, hashOf(name), 0)
}

// place is the bit of five bits, and the index that its slot has.
func (n *routeNode) place(five uint64) (bit uint32, i int) {
	bit = 1 << five
	return bit, bits.OnesCount32(n.taken & (bit - 1))
}

// own is the node itself if the edition may change it, else a copy. A nil node is an empty one.
func (n *routeNode) own(edition uint64) *routeNode {
	switch {
	case n == nil:
		return &routeNode{edition: edition}
	case n.edition == edition:
		return n
	}
	return &routeNode{edition: edition, taken: n.taken, slots: slices.Clone(n.slots)}
}

// with is the node of a level with a route.
func (n *routeNode) with(edition uint64, r *route, hash uint64, level int) *routeNode {
	n = n.own(edition)
	bit, i := n.place(slotBitsOf(r.name, hash, level))
	if n.taken&bit == 0 {
		n.taken |= bit
		n.slots = slices.Insert(n.slots, i, routeSlot{only: r})
		return n
	}
	s := &n.slots[i]
	switch old := s.only; {
	case old == nil:
		s.more = s.more.with(edition, r, hash, level+1)
	case old.name == r.name:
		s.only = r
	default:
		s.only = nil
		s.more = s.more.with(edition, old, hashOf(old.name), level+1).with(edition, r, hash, level+1)
	}
	return n
}

// without is the node of a level without a name; nil if it had no other.
func (n *routeNode) without(edition uint64, name string, hash uint64, level int) *routeNode {
	if n == nil {
		return nil
	}
	bit, i := n.place(slotBitsOf(name, hash, level))
	if n.taken&bit == 0 {
		return n
	}
	s := n.slots[i].without(edition, name, hash, level)
	if s == n.slots[i] {
		return n
	}
	n = n.own(edition)
	n.slots[i] = s
	if s == (routeSlot{}) {
		n.taken &^= bit
		n.slots = slices.Delete(n.slots, i, i+1)
	}
	if n.taken == 0 {
		return nil
	}
	return n
}

// without is the slot without a name. A node that is left with one name gives way to that.
func (s routeSlot) without(edition uint64, name string, hash uint64, level int) routeSlot {
	if s.only != nil {
		if s.only.name == name {
			s.only = nil
		}
		return s
	}
	s.more = s.more.without(edition, name, hash, level+1)
	if m := s.more; m != nil && len(m.slots) == 1 && m.slots[0].only != nil {
		return m.slots[0]
	}
	return s
}
