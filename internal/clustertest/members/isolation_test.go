package members

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/race"

	"github.com/stretchr/testify/require"
)

// [MEM-23] A node that within two seconds found more peers late than it heard of, two at least, is isolated. It is not
// any more when it hears of more than are late.
func TestWhoIsCutOffKnows(t *testing.T) {
	t.Parallel()
	for _, size := range []int{3, 32} {
		if race.Sampled && size > 3 {
			continue
		}
		clustertest.Run(t, 1, func(c *clustertest.Cluster) {
			c.StartAll(size)
			c.Until(2*time.Second, "all see all", func() bool { return clustertest.AllSee(c.Nodes, size-1) })
			time.Sleep(10 * time.Second)
			lonely, others := c.Nodes[1], append([]*broach.Node{c.Nodes[0]}, c.Nodes[2:]...)
			require.False(t, lonely.Stats().Isolated)
			c.Net.Cut(clustertest.AddrsOf([]*broach.Node{lonely}), clustertest.AddrsOf(others))
			t.Log(size, "nodes: it knows after",
				c.Until(4*time.Second, "it knows", func() bool { return lonely.Stats().Isolated }))
			for range 30 {
				time.Sleep(time.Second)
				require.True(t, lonely.Stats().Isolated)
				for _, n := range others {
					require.False(t, n.Stats().Isolated)
				}
			}
			c.Net.Heal()
			t.Log("it is over after",
				c.Until(5*time.Second, "it is over", func() bool { return !lonely.Stats().Isolated }))
		})
	}
}

// [MEM-23] likewise if it makes calls meanwhile, of which each that is not answered is the beginning of a probe.
func TestWhoIsCutOffAndCallsKnows(t *testing.T) {
	t.Parallel()
	for size, pauses := range map[int][]time.Duration{
		3:  {time.Millisecond, 50 * time.Millisecond, time.Second},
		32: {time.Second},
	} {
		if race.Sampled && size > 3 {
			continue
		}
		for _, pause := range pauses {
			clustertest.Run(t, 1, func(c *clustertest.Cluster) {
				c.StartAll(size)
				c.Until(2*time.Second, "all see all", func() bool { return clustertest.AllSee(c.Nodes, size-1) })
				lonely, others := c.Nodes[1], append([]*broach.Node{c.Nodes[0]}, c.Nodes[2:]...)
				for _, n := range others {
					require.NoError(t, n.Register("add", func(x, y int) int { return x + y }))
				}
				ctx, cancel := context.WithCancel(context.Background())
				var callers sync.WaitGroup
				defer callers.Wait()
				defer cancel()
				for _, n := range others {
					callers.Go(func() { callOn(ctx, lonely, n.Addr(), pause) })
				}
				time.Sleep(3 * time.Second)
				require.False(t, lonely.Stats().Isolated)
				c.Net.Cut(clustertest.AddrsOf([]*broach.Node{lonely}), clustertest.AddrsOf(others))
				took := c.Until(4*time.Second, "it knows", func() bool { return lonely.Stats().Isolated })
				t.Log(size, "nodes, which call every", pause, ": it knows after", took)
				for range 20 {
					time.Sleep(time.Second)
					require.True(t, lonely.Stats().Isolated)
					require.False(t, others[0].Stats().Isolated)
				}
				c.Net.Heal()
				t.Log("it is over after",
					c.Until(5*time.Second, "it is over", func() bool { return !lonely.Stats().Isolated }))
			})
		}
	}
}

// callOn calls add at a node again and again.
func callOn(ctx context.Context, n *broach.Node, at netip.AddrPort, pause time.Duration) {
	for ctx.Err() == nil {
		_, _ = n.Caller("add", broach.On(at), broach.Timeout(500*time.Millisecond)).Call(ctx, 1, 2)
		time.Sleep(pause)
	}
}

// What an operator asks: since when, who says so, how new the table is.
func TestStatsOfPeers(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.StartAll(4)
		c.Until(time.Second, "all see all", func() bool { return clustertest.AllSee(c.Nodes, 3) })
		observer, victim := c.Nodes[0], c.Nodes[3]
		of := func() broach.PeerStats {
			for _, p := range observer.Stats().Peers {
				if p.Addr == victim.Addr() {
					return p
				}
			}
			return broach.PeerStats{}
		}
		time.Sleep(10 * time.Second)
		before := of()
		require.InDelta(t, 10*time.Second, before.Since, float64(time.Second))
		require.False(t, before.SuspectedBy.IsValid())
		require.NoError(t, victim.Register("f", func() {}))
		time.Sleep(100 * time.Millisecond)
		require.Greater(t, of().TableVersion, before.TableVersion)
		require.InDelta(t, 3, observer.Stats().Heartbeats, 0.001, "one a second to each of three")
		c.Kill(victim)
		c.Until(2*time.Second, "suspect", func() bool { return of().State == broach.Suspect })
		require.Contains(t, []netip.AddrPort{observer.Addr(), c.Nodes[1].Addr(), c.Nodes[2].Addr()}, of().SuspectedBy)
		require.Less(t, of().Since, 100*time.Millisecond)
		c.Until(2*time.Second, "offline", func() bool { return of().State == broach.Offline })
		require.False(t, of().SuspectedBy.IsValid())
	})
}

// [MEM-18] Offline peers are forgotten after 24 h, or when their operator says so.
func TestForget(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.StartAll(4)
		c.Until(time.Second, "all see all", func() bool { return clustertest.AllSee(c.Nodes, 3) })
		observer, victim := c.Nodes[0], c.Nodes[3]
		require.ErrorContains(t, observer.Forget(victim.Addr()), "the member is alive")
		require.ErrorContains(t, observer.Forget(netip.MustParseAddrPort("192.0.2.1:1")), "there is no such member")
		c.Kill(victim)
		c.Until(3*time.Second, "offline", func() bool { return shown(t, observer, victim).State == broach.Offline })
		require.NoError(t, observer.Forget(victim.Addr()))
		require.Len(t, observer.Members(), 3)
		require.Equal(t, broach.Offline, shown(t, c.Nodes[1], victim).State, "others have their own memory")
		time.Sleep(time.Minute)
		require.Len(t, observer.Members(), 3)

		c.Edit = func(cfg *broach.Config) { cfg.RandSeed = 77 }
		back := c.Start(3, 1)
		c.Until(time.Second, "it is back", func() bool { return clustertest.AllSee([]*broach.Node{observer, back}, 3) })
		require.NoError(t, observer.Close())
		require.ErrorIs(t, observer.Forget(victim.Addr()), broach.ErrClosed)
	})
}
