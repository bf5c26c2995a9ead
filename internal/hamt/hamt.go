// Package hamt is a table by name of which many versions are read while the next is made: a hash array mapped trie
// (Bagwell 2001, "Ideal Hash Trees"). A version that differs from another by a few names shares the rest with it.
//
// Calls look up their route in such a table without a lock, while the loop of the node makes the next. A map that is
// copied for each change would cost each new peer as much as all names together, and they may be 10,000 for each of
// 4,096 peers.
//
// It takes no lock and starts nothing: who makes versions does so alone, and hands each out when it is done. Its hash
// has a seed of the process, so that names chosen by strangers cannot all fall together; should two names have one hash
// all the same, they take further turns until they differ.
package hamt

import (
	"hash/maphash"
	"math/bits"
	"slices"
)

// Table finds values by their names. The zero value is empty. A copy is another version once its Edition is another:
// what that changes is copied first.
type Table[V any] struct {
	root    *node[V]
	Edition uint64 // nodes of this edition are in no other version yet, and are changed in place; all others are copied
}

// node holds the names whose hashes lead here: each level of nodes goes by the next five bits.
type node[V any] struct {
	edition uint64
	taken   uint32    // bit i is set if there are names with i in those five bits
	slots   []slot[V] // one for each bit set, in their order
}

// slot holds one name, or a node for several.
type slot[V any] struct {
	name string
	only *V // nil: there are several
	more *node[V]
}

const (
	slotBits      = 5
	levelsPerHash = 64 / slotBits
)

// seed makes where a name stands a secret: nobody can find names that stand in one long branch.
var seed = maphash.MakeSeed()

// hashOf hashes a name.
func hashOf(name string) uint64 { return maphash.String(seed, name) }

// slotBitsOf says where the way to a name goes on at a level.
func slotBitsOf(name string, hash uint64, level int) uint64 {
	if level < levelsPerHash {
		return hash >> (level * slotBits) % (1 << slotBits)
	}
	return laterTurn(name, level)
}

// laterTurn is slotBitsOf where the hash is used up. Another one is taken there: names that have the first in common
// differ in a later one.
func laterTurn(name string, level int) uint64 {
	return maphash.Comparable(seed, struct {
		level int
		name  string
	}{level, name}) % (1 << slotBits)
}

// Get returns the value of a name, or nil.
func (t *Table[V]) Get(name string) *V {
	return t.root.find(name, hashOf(name), 0)
}

// find returns the value of a name below a node of a level, or nil.
func (n *node[V]) find(name string, hash uint64, level int) *V {
	for ; n != nil; level++ {
		bit, i := n.place(slotBitsOf(name, hash, level))
		if n.taken&bit == 0 {
			return nil
		}
		s := &n.slots[i]
		if s.only != nil {
			return s.named(name)
		}
		n = s.more
	}
	return nil
}

// named is the value if it has the name, else nil.
func (s *slot[V]) named(name string) *V {
	if s.name != name {
		return nil
	}
	return s.only
}

// Put takes up a value, in place of one of the same name.
func (t *Table[V]) Put(name string, v *V) {
	t.root = t.root.with(t.Edition, slot[V]{name: name, only: v}, hashOf(name), 0)
}

// Remove takes a name out.
func (t *Table[V]) Remove(name string) {
	t.root = t.root.without(t.Edition, name, hashOf(name), 0)
}

// place is the bit of five bits, and the index that its slot has.
func (n *node[V]) place(five uint64) (bit uint32, i int) {
	bit = 1 << five
	return bit, bits.OnesCount32(n.taken & (bit - 1))
}

// own is the node itself if the edition may change it, else a copy. A nil node is an empty one.
func (n *node[V]) own(edition uint64) *node[V] {
	switch {
	case n == nil:
		return &node[V]{edition: edition}
	case n.edition == edition:
		return n
	}
	return &node[V]{edition: edition, taken: n.taken, slots: slices.Clone(n.slots)}
}

// with is the node of a level with a name.
func (n *node[V]) with(edition uint64, one slot[V], hash uint64, level int) *node[V] {
	n = n.own(edition)
	bit, i := n.place(slotBitsOf(one.name, hash, level))
	if n.taken&bit == 0 {
		n.taken |= bit
		n.slots = slices.Insert(n.slots, i, one)
		return n
	}
	s := &n.slots[i]
	switch old := *s; {
	case old.only == nil:
		s.more = s.more.with(edition, one, hash, level+1)
	case old.name == one.name:
		*s = one
	default:
		var more *node[V]
		*s = slot[V]{more: more.with(edition, old, hashOf(old.name), level+1).with(edition, one, hash, level+1)}
	}
	return n
}

// without is the node of a level without a name; nil if it had no other.
func (n *node[V]) without(edition uint64, name string, hash uint64, level int) *node[V] {
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
	if s == (slot[V]{}) {
		n.taken &^= bit
		n.slots = slices.Delete(n.slots, i, i+1)
	}
	if n.taken == 0 {
		return nil
	}
	return n
}

// without is the slot without a name. A node that is left with one name gives way to that.
func (s slot[V]) without(edition uint64, name string, hash uint64, level int) slot[V] {
	if s.only != nil {
		if s.name == name {
			return slot[V]{}
		}
		return s
	}
	s.more = s.more.without(edition, name, hash, level+1)
	if m := s.more; m != nil && len(m.slots) == 1 && m.slots[0].only != nil {
		return m.slots[0]
	}
	return s
}
