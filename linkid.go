package broach

import (
	"net/netip"

	"broach/internal/wire"
)

// linkID names a peer process: its boot id, and the address it advertises.
type linkID struct {
	boot uint64
	addr netip.AddrPort
}

// hash is a number that is another for each process at each address, for what is told apart by numbers.
func (id linkID) hash() uint64 { return wire.Digest(wire.Entry{Addr: id.addr, Boot: id.boot}) }
