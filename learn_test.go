package broach

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

var anyAddr = netip.MustParseAddrPort("0.0.0.0:7000")

// [MEM-25] A joiner that does not know which address to advertise sends Join with the unspecified one and its port. It is
// answered with Observed alone, advertises the first address so learnt, joins with it, and until then takes part in nothing.
func TestAddressIsLearntFromASeed(t *testing.T) {
	now, seed := time.Unix(0, 0), source{addr: addrOf(0), boot: 9, size: 1200}
	m := newMembership(memberConfig{self: anyAddr, boot: 5, heartbeat: Config{}.heartbeat(), maxPeers: maxPeers}, now, rand.New(rand.NewPCG(1, 1)))
	m.setSeeds(now, []netip.AddrPort{addrOf(0), addrOf(7)}, false)
	step := func(d time.Duration, msgs ...wire.Message) []memberMessage {
		now = now.Add(d)
		for _, msg := range msgs {
			m.receive(now, seed, msg)
		}
		m.tick(now)
		return m.take().send
	}
	sent := step(0)
	require.Len(t, sent, 1)
	join := sent[0].msg.(wire.Join)
	require.Equal(t, anyAddr, join.Addr)

	stranger := wire.Hello{Nonce: 1, Addr: addrOf(0)}
	require.Empty(t, step(0, wire.Announce{Hello: stranger}, wire.Welcome{Hello: stranger}, wire.Ping{Nonce: 3}, wire.Join{Nonce: 4, Addr: addrOf(3)}))
	step(0, wire.Observed{Nonce: join.Nonce + 2, Addr: addrOf(8)})
	step(0, wire.Observed{Nonce: join.Nonce, Addr: netip.MustParseAddrPort("127.0.0.1:7000")})
	require.True(t, m.isLearning(), "forged, or of no use")
	sent = step(0, wire.Join{Nonce: 4, Addr: anyAddr})
	require.Equal(t, []memberMessage{{to: addrOf(0), msg: wire.Observed{Nonce: 4, Addr: addrOf(0)}}}, sent, "it can still tell others")

	sent = step(time.Millisecond, wire.Observed{Nonce: join.Nonce, Addr: addrOf(7)})
	require.Equal(t, addrOf(7), m.cfg.self)
	require.Equal(t, wire.Digest(wire.Entry{Addr: addrOf(7), Boot: 5}), m.digest)
	require.Len(t, sent, 1)
	require.Equal(t, addrOf(0), sent[0].to, "it is not its own seed")
	require.Equal(t, addrOf(7), sent[0].msg.(wire.Join).Addr)
	step(0, wire.Observed{Nonce: sent[0].msg.(wire.Join).Nonce, Addr: addrOf(8)})
	require.Equal(t, addrOf(7), m.cfg.self, "the first counts")
}

// Nodes that listen on all addresses find each other, whichever of them is there first.
func TestNodesOnAllAddresses(t *testing.T) {
	start := func(seed netip.AddrPort) *Node {
		n, err := Start(Config{Addr: "0.0.0.0:0", Join: []string{seed.String()}, Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		t.Cleanup(func() { n.Close() })
		return n
	}
	at := func(n *Node) netip.AddrPort { return netip.AddrPortFrom(loopback, n.Addr().Port()) }
	first := start(netip.MustParseAddrPort("127.0.0.1:1"))
	require.True(t, first.Addr().Addr().IsUnspecified())
	second := start(at(first))
	require.NoError(t, second.Register("f", func() int { return 7 }))
	require.NoError(t, first.Join(at(second).String()))
	require.NoError(t, first.WaitFor(context.Background(), "f", 1))
	got, err := Call[int](context.Background(), first.Caller("f"))
	require.NoError(t, err)
	require.Equal(t, 7, got)
	require.Equal(t, at(first), first.Addr())
	require.Equal(t, at(second), second.Addr())
	require.Len(t, first.Members(), 2)
}

// Clusters of IPv6 addresses, and those whose nodes listen for both families and come to a seed of either.
func TestNodesOfEitherFamily(t *testing.T) {
	needAddr(t, "[::1]:0")
	for _, addrs := range [][]string{
		{"[::1]:0", "[::1]:0", "[::1]:0"}, {"[::1]:0", "[::]:0", "[::]:0"}, {"127.0.0.1:0", "[::]:0", "0.0.0.0:0"},
	} {
		t.Run(strings.Join(addrs, " "), func(t *testing.T) {
			var nodes []*Node
			for _, addr := range addrs {
				cfg := Config{Addr: addr, Logger: slog.New(slog.DiscardHandler)}
				if len(nodes) > 0 {
					cfg.Join = []string{nodes[0].Addr().String()}
				}
				n, err := Start(cfg)
				require.NoError(t, err)
				t.Cleanup(func() { n.Close() })
				require.NoError(t, n.Register(fmt.Sprint("f", len(nodes)), func() {}))
				nodes = append(nodes, n)
			}
			for _, n := range nodes {
				for i := range nodes {
					require.NoError(t, n.WaitFor(context.Background(), fmt.Sprint("f", i), 1))
					_, err := n.Caller(fmt.Sprint("f", i)).Call(context.Background())
					require.NoError(t, err)
				}
			}
		})
	}
}

// [MEM-26] Join, Announce or Welcome with an address that is unspecified, multicast or, unless it came from such a one,
// loopback, is dropped and counted.
func TestAddressesOfNoUseAreRefused(t *testing.T) {
	for _, c := range []struct {
		from, advertised string
		usable           bool
	}{
		{"10.0.0.2:1", "10.0.0.2:1", true},
		{"10.0.0.2:1", "192.0.2.1:9", true},
		{"127.0.0.1:1", "127.0.0.2:1", true},
		{"[::1]:1", "127.0.0.1:1", true},
		{"10.0.0.2:1", "127.0.0.1:1", false},
		{"10.0.0.2:1", "[::1]:1", false},
		{"127.0.0.1:1", "0.0.0.0:1", false},
		{"10.0.0.2:1", "224.0.0.1:1", false},
		{"[fd00::1]:1", "[ff02::1]:1", false},
	} {
		src := source{addr: netip.MustParseAddrPort(c.from), boot: 9, size: 1200}
		hello := wire.Hello{Nonce: 1, Addr: netip.MustParseAddrPort(c.advertised)}
		for _, msg := range []wire.Message{wire.Join{Nonce: 1, Addr: hello.Addr}, wire.Announce{Hello: hello}, wire.Welcome{Hello: hello}} {
			_, isJoin := msg.(wire.Join)
			if isJoin && hello.Addr.Addr().IsUnspecified() {
				continue // it asks what its address is
			}
			now := time.Unix(0, 0)
			m := newMembership(memberConfig{self: addrOf(0), boot: 5, heartbeat: Config{}.heartbeat(), maxPeers: maxPeers}, now, rand.New(rand.NewPCG(1, 1)))
			m.receive(now, src, msg)
			did := m.take()
			require.Equal(t, c.usable, len(did.refused) == 0, "%+v %T", c, msg)
			if !c.usable {
				require.Empty(t, did.send)
			}
		}
	}
}

func TestRefusalsAreCounted(t *testing.T) {
	underAttack(t, func(b *besieged) {
		h := wire.Header{TableVersion: 1, Cluster: b.provider.cluster, Sender: 77}
		b.throw(wire.Join{Nonce: 1, Addr: netip.MustParseAddrPort("127.0.0.1:7000")}.Append(wire.AppendHeader(nil, h)))
		time.Sleep(10 * time.Millisecond)
		require.EqualValues(b.t, 1, b.provider.Stats().Unusable)
	})
}
