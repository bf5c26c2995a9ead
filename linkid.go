package broach

import (
	"net/netip"

	"broach/internal/wire"
)

// linkID names a peer process: its boot id, and the address it advertises.
type linkID struct {
	Boot uint64
	Addr netip.AddrPort
}

// Hash is a number that is another for each process at each address, for what is told apart by numbers.
func (id linkID) Hash() uint64 { return wire.Digest(wire.Entry{Addr: id.Addr, Boot: id.Boot}) }
