package member

import (
	"cmp"
	"net/netip"

	"broach/internal/handshake"
	"broach/internal/wire"
)

// acted is a process beside a society that the test plays.
type acted struct {
	*society
	addr netip.AddrPort
	key  wire.PublicKey
}

// act plays a process at address i. Keys with a greater first byte are greater.
func (s *society) act(i int, first byte) *acted {
	x := &acted{society: s, addr: siteOf(i)}
	for i := range x.key {
		x.key[i] = byte(s.rng.Uint32())
	}
	x.key[0] = first
	return x
}

func (x *acted) boot() uint64 { return handshake.BootID(x.key) }

// entry is how a List names it.
func (x *acted) entry() wire.Process { return wire.Process{Addr: x.addr, Boot: x.boot()} }

// offer answers a process that contacts it. It returns the token by which that receives on the link, if it makes one.
func (x *acted) offer(c *citizen, o wire.Offer) uint64 {
	o.Echo, o.Key, o.Addr = c.contacts.byAddr[x.addr].token, x.key, x.addr
	o.Rank, o.Token = cmp.Or(o.Rank, 1), cmp.Or(o.Token, x.rng.Uint64()|1)
	x.give(c, o)
	return o.Echo
}

// give gives a process an Offer as it is.
func (x *acted) give(c *citizen, o wire.Offer) {
	c.Offered(x.now, Answered{Offer: o, From: x.addr})
	x.collect(c)
}

// confirm makes a link with a process, as that one's reader does for a Confirm, and returns the token by which it
// receives.
func (x *acted) confirm(c *citizen, rank uint32) uint64 {
	return x.confirmLate(c, rank, c.process.Stamp(x.now))
}

// confirmLate does so for an Offer with a stamp.
func (x *acted) confirmLate(c *citizen, rank, stamp uint32) uint64 {
	terms := &handshake.Terms{
		Rank: rank, Stamp: stamp, TokenA: x.rng.Uint64() | 1, KeyA: x.key, AddrA: x.addr,
		TokenB: x.rng.Uint64() | 1, KeyB: c.process.Key, AddrB: c.cfg.Self,
	}
	c.links[terms.TokenB] = &bond{terms: terms}
	c.Made(x.now, wire.Process{Boot: x.boot(), Addr: x.addr}, terms.TokenB, terms.Order())
	x.collect(c)
	return terms.TokenB
}

// say says something on a link to a process.
func (x *acted) say(c *citizen, link uint64, msg wire.Message) {
	x.forge(c, x.source(link, msg), msg)
}

// introduce says who it is.
func (x *acted) introduce(c *citizen, link uint64, name string) {
	x.say(c, link, wire.Announce{Hello: wire.Hello{Inc: 1, Addr: x.addr, Name: name}})
}

func (x *acted) source(link uint64, msg wire.Message) Source {
	return Source{Addr: x.addr, Link: link, Tver: 1, Size: wire.HeaderSize + len(msg.Append(nil))}
}

// isOpen reports whether a process has a link.
func (c *citizen) isOpen(link uint64) bool { return c.links[link] != nil && !c.links[link].spent }

// opens counts the Opens that a process sends to an address from now on.
func (s *society) opens(who *citizen, addr netip.AddrPort) *int {
	count := new(int)
	before := s.opened
	s.opened = func(from *citizen, to netip.AddrPort) {
		if before != nil {
			before(from, to)
		}
		if from == who && to == addr {
			*count++
		}
	}
	return count
}
