package broach

import (
	"net/netip"
	"slices"
)

// memberAt is what a node says of another.
func memberAt(n *Node, addr netip.AddrPort) Member {
	list := n.Members()
	return list[slices.IndexFunc(list, func(m Member) bool { return m.Addr == addr })]
}
