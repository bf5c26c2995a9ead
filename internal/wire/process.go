package wire

import "net/netip"

// Process names a process, and is an entry of a List: the address that it advertises, and its boot id.
type Process struct {
	Addr netip.AddrPort
	Boot uint64 // not 0
}

// Hash is a number that is another for each process at each address, for what is told apart by numbers.
func (p Process) Hash() uint64 { return Digest(p) }
