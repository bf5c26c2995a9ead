package broach

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// forwardTo passes what comes to an address on, as a UDP proxy or load balancer does: the n-th datagram to where choose says.
func (c *cluster) forwardTo(at netip.AddrPort, choose func(n int64) netip.AddrPort) {
	conn, err := c.net.Listen(at)
	require.NoError(c.t, err)
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

// Whatever a seed is called, a node whose seed answers has joined, and it goes on to contact nobody: nodes are told apart by their processes.
// [LNK-2] If only the address B is another one, and a seed was contacted, that is remembered as the seed's
func TestSeedsByOtherNames(t *testing.T) {
	t.Parallel()
	front, back := addrOf(200), addrOf(201)
	random := func(n int64) netip.AddrPort { return addrOf(rand.New(rand.NewPCG(1, uint64(n))).IntN(5)) }
	for name, test := range map[string]struct {
		seeds   []string                     // of all; nil: front
		to, via func(n int64) netip.AddrPort // where front and back lead; nil: nobody is there
	}{
		"mapped":                  {seeds: []string{"[::ffff:10.0.0.1]:7000"}},
		"mapped, and as it is":    {seeds: []string{"[::ffff:10.0.0.1]:7000", "10.0.0.1:7000"}},
		"a proxy":                 {to: func(int64) netip.AddrPort { return addrOf(0) }},
		"a proxy before a proxy":  {to: func(int64) netip.AddrPort { return back }, via: func(int64) netip.AddrPort { return addrOf(0) }},
		"one balancer before all": {to: random},
		"a balancer that is slow": {to: func(n int64) netip.AddrPort { return random(n / 7) }},
		"a proxy and an address":  {seeds: []string{front.String(), addrOf(1).String()}, to: func(int64) netip.AddrPort { return addrOf(0) }},
		"two proxies":             {seeds: []string{front.String(), back.String()}, to: func(int64) netip.AddrPort { return addrOf(0) }, via: func(int64) netip.AddrPort { return addrOf(1) }},
	} {
		t.Run(name, func(t *testing.T) {
			inCluster(t, 1, func(c *cluster) {
				if test.to != nil {
					c.forwardTo(front, test.to)
				}
				if test.via != nil {
					c.forwardTo(back, test.via)
				}
				seeds := test.seeds
				if seeds == nil {
					seeds = []string{front.String()}
				}
				start := func(i int) *Node { return c.startWith(i, func(cfg *Config) { cfg.Join = seeds }) }
				start(0)
				time.Sleep(10 * time.Second)
				for i := 1; i < 5; i++ {
					start(i)
				}
				took := c.until(25*time.Second, "all see all", func() bool { return allSee(c.nodes, 4) })
				joined := c.until(6*time.Second, "all have joined", func() bool { return allJoined(c.nodes) })
				opens := c.countOpens()
				time.Sleep(20 * time.Second)
				t.Log("all see all after", took, "and have joined after", joined, "more;", opens(), "Opens in 20 s")
				require.LessOrEqual(t, opens(), int64(3*2*5+4), "of each to two seeds every 10 s, and one asks on for the List every 5 s")
				require.True(t, allJoined(c.nodes))

				require.NoError(t, c.nodes[0].Leave(context.Background()))
				time.Sleep(2 * time.Second)
				c.nodes = c.nodes[1:]
				start(0)
				took = c.until(25*time.Second, "all see all again", func() bool { return allSee(c.nodes, 4) && allJoined(c.nodes) })
				t.Log("all see the first again after", took)
			})
		})
	}
}

// allJoined reports that nodes know the cluster.
func allJoined(nodes []*Node) bool {
	for _, n := range nodes {
		if !n.view.Load().joined {
			return false
		}
	}
	return true
}

// countOpens counts the Opens that are sent from now on.
func (c *cluster) countOpens() func() int64 {
	var opens atomic.Int64
	c.net.Tap(func(_ time.Time, _, _ netip.AddrPort, b []byte) {
		if len(b) > 3 && b[3] == byte(1) {
			opens.Add(1)
		}
	})
	return opens.Load
}
