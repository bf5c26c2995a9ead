package members

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// Nodes that listen on all addresses find each other, whichever of them is there first.
func TestNodesOnAllAddresses(t *testing.T) {
	start := func(seed netip.AddrPort) *broach.Node {
		n, err := broach.Start(broach.Config{Addr: "0.0.0.0:0", Join: []string{seed.String()}, LogLevel: "off"})
		require.NoError(t, err)
		t.Cleanup(func() { n.Close() })
		return n
	}
	at := func(n *broach.Node) netip.AddrPort { return netip.AddrPortFrom(clustertest.Loopback, n.Addr().Port()) }
	first := start(netip.MustParseAddrPort("127.0.0.1:1"))
	require.True(t, first.Addr().Addr().IsUnspecified())
	second := start(at(first))
	require.NoError(t, second.Register("f", func() int { return 7 }))
	require.NoError(t, first.Join(at(second).String()))
	require.NoError(t, first.WaitFor(context.Background(), "f", 1))
	got, err := broach.Call[int](context.Background(), first.Caller("f"))
	require.NoError(t, err)
	require.Equal(t, 7, got)
	require.Equal(t, at(first), first.Addr())
	require.Equal(t, at(second), second.Addr())
	require.Len(t, first.Members(), 2)
}

// Clusters of IPv6 addresses, and those whose nodes listen for both families and come to a seed of either.
func TestNodesOfEitherFamily(t *testing.T) {
	if conn, err := net.ListenPacket("udp", "[::1]:0"); err != nil {
		t.Skip("this machine has no IPv6: ", err)
	} else {
		require.NoError(t, conn.Close())
	}
	for _, addrs := range [][]string{
		{"[::1]:0", "[::1]:0", "[::1]:0"}, {"[::1]:0", "[::]:0", "[::]:0"}, {"127.0.0.1:0", "[::]:0", "0.0.0.0:0"},
	} {
		t.Run(strings.Join(addrs, " "), func(t *testing.T) { callAround(t, startAt(t, addrs)) })
	}
}

// startAt starts nodes with a function each, the first being the seed of the others.
func startAt(t *testing.T, addrs []string) (nodes []*broach.Node) {
	for i, addr := range addrs {
		cfg := broach.Config{Addr: addr, LogLevel: "off"}
		if i > 0 {
			cfg.Join = []string{nodes[0].Addr().String()}
		}
		n, err := broach.Start(cfg)
		require.NoError(t, err)
		t.Cleanup(func() { n.Close() })
		require.NoError(t, n.Register(fmt.Sprint("f", i), func() {}))
		nodes = append(nodes, n)
	}
	return nodes
}

// callAround lets each node call the function of each.
func callAround(t *testing.T, nodes []*broach.Node) {
	for _, n := range nodes {
		for i := range nodes {
			require.NoError(t, n.WaitFor(context.Background(), fmt.Sprint("f", i), 1))
			_, err := n.Caller(fmt.Sprint("f", i)).Call(context.Background())
			require.NoError(t, err)
		}
	}
}
