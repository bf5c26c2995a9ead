package broach

import (
	"net/netip"
)

func addrsAt(nodes []int) (list []netip.AddrPort) {
	for _, i := range nodes {
		list = append(list, addrOf(i))
	}
	return list
}
