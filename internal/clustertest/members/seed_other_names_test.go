package members

import (
	"bytes"
	"context"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// Whatever a seed is called, a node whose seed answers has joined, and it goes on to contact nobody: nodes are told
// apart by their processes.
// [LNK-2] If only the address B is another one, and a seed was contacted, that is remembered as the seed's
func TestSeedsByOtherNames(t *testing.T) {
	t.Parallel()
	front, back := clustertest.AddrOf(200), clustertest.AddrOf(201)
	to := func(i int) func(int64) netip.AddrPort {
		return func(int64) netip.AddrPort { return clustertest.AddrOf(i) }
	}
	random := func(n int64) netip.AddrPort { return clustertest.AddrOf(rand.New(rand.NewPCG(1, uint64(n))).IntN(5)) }
	for name, test := range map[string]struct {
		seeds   []string                     // of all; nil: front
		to, via func(n int64) netip.AddrPort // where front and back lead; nil: nobody is there
	}{
		"mapped":                  {seeds: []string{"[::ffff:10.0.0.1]:7000"}},
		"mapped, and as it is":    {seeds: []string{"[::ffff:10.0.0.1]:7000", "10.0.0.1:7000"}},
		"a proxy":                 {to: to(0)},
		"a proxy before a proxy":  {to: to(201), via: to(0)},
		"one balancer before all": {to: random},
		"a balancer that is slow": {to: func(n int64) netip.AddrPort { return random(n / 7) }},
		"a proxy and an address":  {seeds: []string{front.String(), clustertest.AddrOf(1).String()}, to: to(0)},
		"two proxies":             {seeds: []string{front.String(), back.String()}, to: to(0), via: to(1)},
	} {
		t.Run(name, func(t *testing.T) {
			clustertest.Run(t, 1, func(c *clustertest.Cluster) {
				if test.to != nil {
					c.ForwardTo(front, test.to)
				}
				if test.via != nil {
					c.ForwardTo(back, test.via)
				}
				seeds := test.seeds
				if seeds == nil {
					seeds = []string{front.String()}
				}
				c.Edit = func(cfg *broach.Config) { cfg.Join = seeds }
				c.Start(0)
				time.Sleep(10 * time.Second)
				for i := 1; i < 5; i++ {
					c.Start(i)
				}
				took := c.Until(25*time.Second, "all see all", func() bool { return clustertest.AllSee(c.Nodes, 4) })
				joined := c.Until(6*time.Second, "all have joined", func() bool { return allJoined(c.Nodes) })
				opens := countOpens(c)
				time.Sleep(20 * time.Second)
				t.Log("all see all after", took, "and have joined after", joined, "more;", opens(), "Opens in 20 s")
				require.LessOrEqual(t, opens(), int64(3*2*5+4),
					"of each to two seeds every 10 s, and one asks on for the List every 5 s")
				require.True(t, allJoined(c.Nodes))

				require.NoError(t, c.Nodes[0].Leave(context.Background()))
				time.Sleep(2 * time.Second)
				c.Nodes = c.Nodes[1:]
				c.Start(0)
				took = c.Until(25*time.Second, "all see all again",
					func() bool { return clustertest.AllSee(c.Nodes, 4) && allJoined(c.Nodes) })
				t.Log("all see the first again after", took)
			})
		})
	}
}

// allJoined reports that nodes know the cluster.
func allJoined(nodes []*broach.Node) bool {
	for _, n := range nodes {
		if !clustertest.IsJoined(n) {
			return false
		}
	}
	return true
}

// countOpens counts the Opens that are sent from now on.
func countOpens(c *clustertest.Cluster) func() int64 {
	var opens atomic.Int64
	c.Net.Tap(func(_ time.Time, _, _ netip.AddrPort, b []byte) {
		if len(b) > 3 && b[3] == byte(1) {
			opens.Add(1)
		}
	})
	return opens.Load
}

// [MEM-18] A seed to which an Open was sent that comes to its own sender is this node; who has no other seeds has
// joined. Whoever answers there later is found.
func TestASeedThatIsTheNodeItself(t *testing.T) {
	for _, keys := range [][][]byte{nil, {clustertest.KeyOf(1)}} {
		clustertest.Run(t, 1, func(c *clustertest.Cluster) {
			c.Edit = func(cfg *broach.Config) { cfg.Keys = keys }
			leadsTo, front := new(atomic.Int64), clustertest.AddrOf(200)
			c.ForwardTo(front, func(int64) netip.AddrPort { return clustertest.AddrOf(int(leadsTo.Load())) })
			n := c.StartWith(0, func(cfg *broach.Config) { cfg.Join = []string{front.String()} })
			took := c.Until(10*time.Millisecond, "joined", func() bool { return allJoined(c.Nodes) })
			_, err := n.Caller("unknown").Call(context.Background())
			require.ErrorIs(t, err, broach.ErrNotFound)
			t.Log("joined after", took)
			time.Sleep(time.Minute)
			opens := countOpens(c)
			time.Sleep(time.Minute)
			require.LessOrEqual(t, opens(), int64(36),
				"every 5 s as one who joins, and every 10 s; the proxy sends each once more")
			require.True(t, allJoined(c.Nodes))

			other := c.Start(1)
			leadsTo.Store(1)
			// [MEM-18] A seed that is this node by another name is contacted every 10 s.
			took = c.Until(11*time.Second, "both see the other",
				func() bool { return clustertest.AllSee([]*broach.Node{n, other}, 1) })
			t.Log("the other is found after", took)
			require.True(t, allJoined(c.Nodes))
		})
	}
}

// An Open of ours counts as one that has come back only if it has the token of a contact.
func TestOnlyAnOpenToASeedThatComesBackIsASelf(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		var sent atomic.Pointer[[]byte]
		c.Net.Tap(func(_ time.Time, _, to netip.AddrPort, b []byte) {
			if to == clustertest.AddrOf(1) && len(b) == wire.OpenSize {
				sent.Store(new(bytes.Clone(b)))
			}
		})
		n := c.StartWith(0, func(cfg *broach.Config) { cfg.Join = []string{clustertest.AddrOf(1).String()} })
		time.Sleep(time.Second)
		open, err := wire.ConsumeOpen(*sent.Load())
		require.NoError(t, err)
		token := open.Token
		for _, test := range []struct {
			token  uint64
			joined bool
		}{{token + 1, false}, {0, false}, {token, true}} {
			open.Token = test.token
			c.Net.Inject(clustertest.AddrOf(1), clustertest.AddrOf(0), wire.AppendOpen(nil, open))
			time.Sleep(100 * time.Millisecond)
			require.Equal(t, test.joined, clustertest.IsJoined(n))
		}
	})
}

// However often a seed is named, and in which form, it is one; so is one that this node cannot send to, and the log
// tells of it once.
func TestASeedIsNamedOnce(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		var log clustertest.SharedLog
		n := c.StartWith(0, func(cfg *broach.Config) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		for range 2000 {
			require.NoError(t, n.Join("10.0.0.9:7000", "[::ffff:10.0.0.9]:7000", "10.0.0.1:7000", "[2001:db8::1]:7000"))
		}
		time.Sleep(time.Second)
		require.Regexp(t, `cluster: \[2001:db8::1\]:7000: [^;]*; 10\.0\.0\.9:7000: [^;]*$`, troubleOf(n))
		c.Kill(n)
		require.Equal(t, 1, strings.Count(log.String(), "of a family of addresses"))
	})
}

// A node is the same whichever form of its address is used.
func TestAMappedAddressIsThatNode(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		provider, caller := c.Start(0), c.Start(1, 0)
		for _, n := range c.Nodes {
			require.NoError(t, n.Register("who", n.Addr))
		}
		mapped := func(n *broach.Node) netip.AddrPort {
			return netip.AddrPortFrom(netip.AddrFrom16(n.Addr().Addr().As16()), n.Addr().Port())
		}
		for _, n := range c.Nodes {
			who, err := broach.Call[netip.AddrPort](context.Background(), caller.Caller("who", broach.On(mapped(n))))
			require.NoError(t, err)
			require.Equal(t, n.Addr(), who)
		}
		c.Kill(provider)
		c.Until(3*time.Second, "offline", func() bool { return clustertest.Count(caller, broach.Offline) == 1 })
		require.NoError(t, caller.Forget(mapped(provider)))
	})
}
