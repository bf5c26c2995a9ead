package gate

import (
	"net/netip"
	"slices"
	"time"

	"broach/internal/tokens"
)

// Self is what the loop has found out of its node, as far as others are told.
type Self struct {
	Addr      netip.AddrPort // unspecified while it is not known
	Learning  uint64         // token of the opening by which the address is learnt; 0: there is none
	IsUnheard bool           // the address was learnt, and no peer is heard at it
	IsFull    bool           // no other peer can be taken
	IsGuest   bool           // none is taken at all
}

// pastSelf is the address that was ours until a time.
type pastSelf struct {
	addr  netip.AddrPort
	until time.Time
}

// NoteSelf is told what the loop has found out.
func (g *Gate[H]) NoteSelf(now time.Time, s Self) {
	old := g.self.Load()
	if *old == s {
		return
	}
	if old.Addr != s.Addr {
		g.before.Store(&pastSelf{old.Addr, now})
	}
	g.self.Store(new(s)) // not &s: that would allocate at each call, whether there is news or not
}

// NoteSeeds is told the addresses of the seeds, in their order, and reports whether they are others than before. They
// must not change.
func (g *Gate[H]) NoteSeeds(sorted []netip.AddrPort) (changed bool) {
	if slices.Equal(sorted, *g.seeds.Load()) {
		return false
	}
	g.seeds.Store(&sorted)
	return true
}

// IsSeed reports whether an address is that of a seed.
func (g *Gate[H]) IsSeed(addr netip.AddrPort) bool {
	_, ok := slices.BinarySearchFunc(*g.seeds.Load(), addr, netip.AddrPort.Compare)
	return ok
}

// isKnown reports whether an address is that of a peer or a seed.
func (g *Gate[H]) isKnown(addr netip.AddrPort) bool { return g.tokens.IsKnown(addr) || g.IsSeed(addr) }

// selves are the addresses that our Offers of the last seconds may have had.
func (g *Gate[H]) selves(now time.Time) []netip.AddrPort {
	self := g.self.Load().Addr
	before, isSealed := g.before.Load(), g.wires.Ring.Load() != nil
	if before != nil && isSealed && now.Sub(before.until) < tokens.SpentFor {
		return []netip.AddrPort{self, before.addr}
	}
	return []netip.AddrPort{self}
}
