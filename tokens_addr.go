package broach

import (
	"hash/maphash"
	"iter"
	"net/netip"
)

// addrChains finds links by the address of their peer. A map would take as much memory as all else that a node keeps of a peer which it never calls.
type addrChains struct {
	seed  maphash.Seed // nobody else can tell which addresses have the same chain
	heads []*conn      // the chains go on by link.beside; their number is a power of 2
	count int
}

func (c *addrChains) init() { c.seed, c.heads = maphash.MakeSeed(), make([]*conn, 1<<firstChains) }

// of is the chain of an address.
func (c *addrChains) of(addr netip.AddrPort) **conn {
	return &c.heads[maphash.Comparable(c.seed, addr)&uint64(len(c.heads)-1)]
}

// at yields the links to an address, in no order.
func (c *addrChains) at(addr netip.AddrPort) iter.Seq[*conn] {
	return func(yield func(*conn) bool) {
		for l := *c.of(addr); l != nil; l = l.beside {
			if l.ID.Addr == addr && !yield(l) {
				return
			}
		}
	}
}

// add takes up a link.
func (c *addrChains) add(l *conn) {
	if c.count++; c.count > len(c.heads) {
		c.double()
	}
	head := c.of(l.ID.Addr)
	l.beside, *head = *head, l
}

// double makes twice as many chains of the same links.
func (c *addrChains) double() {
	old := c.heads
	c.heads = make([]*conn, 2*len(old))
	for _, l := range old {
		for l != nil {
			next, head := l.beside, c.of(l.ID.Addr)
			l.beside, *head = *head, l
			l = next
		}
	}
}

// remove takes a link out.
func (c *addrChains) remove(l *conn) {
	for at := c.of(l.ID.Addr); *at != nil; at = &(*at).beside {
		if *at == l {
			*at, l.beside = l.beside, nil
			c.count--
			return
		}
	}
}
