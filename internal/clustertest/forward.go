package clustertest

import (
	"net/netip"
	"sync/atomic"

	"github.com/stretchr/testify/require"
)

// ForwardTo passes what comes to an address on, as a UDP proxy or load balancer does: the n-th datagram to where choose
// says.
func (c *Cluster) ForwardTo(at netip.AddrPort, choose func(n int64) netip.AddrPort) {
	conn, err := c.Net.Listen(at)
	require.NoError(c.T, err)
	var n atomic.Int64
	go func() {
		b := make([]byte, 2000)
		for {
			size, _, err := conn.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			_, _ = conn.WriteToUDPAddrPort(b[:size], choose(n.Add(1)-1))
		}
	}()
}
