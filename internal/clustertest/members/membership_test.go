package members

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/race"
	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// How quickly a cluster of real nodes comes together, and notices what happens to one of them.
func TestClusterComesTogether(t *testing.T) {
	t.Parallel()
	for _, size := range []int{3, 32, 100} {
		t.Run(fmt.Sprint(size, " nodes"), func(t *testing.T) {
			clustertest.Run(t, uint64(size), func(c *clustertest.Cluster) {
				c.StartAll(size)
				t.Log("all see all after", c.Until(2*time.Second, "all see all",
					func() bool { return clustertest.AllSee(c.Nodes, size-1) }))

				c.Start(size, 0)
				t.Log("one more is seen by all after",
					c.Until(time.Second, "all see the one", func() bool { return clustertest.AllSee(c.Nodes, size) }))

				time.Sleep(5 * time.Second)
				require.True(t, clustertest.AllSee(c.Nodes, size), "a live node was doubted")

				victim, others := c.Nodes[1], append([]*broach.Node{c.Nodes[0]}, c.Nodes[2:]...)
				c.Kill(victim)
				t.Log("its death is known to all after", c.Until(3*time.Second, "all know of the death",
					func() bool { return clustertest.AllSee(others, size-1) }))
			})
		})
	}
}

// A process that comes back at its address is another process: it is seen at once, with what it offers now.
func TestRestartAtTheSameAddress(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		seed, old := c.Start(0), c.Start(1, 0)
		require.NoError(t, old.Register("old", func() string { return "old" }))
		require.NoError(t, seed.WaitFor(context.Background(), "old", 1))
		c.Kill(old)
		restarted := c.Start(1, 0)
		require.NoError(t, restarted.Register("new", func() string { return "new" }))
		start := time.Now()
		require.NoError(t, seed.WaitFor(context.Background(), "new", 1))
		t.Log("the restart is known after", time.Since(start))
		_, err := seed.Caller("old").Call(context.Background())
		require.ErrorIs(t, err, broach.ErrNotFound)
		v, err := seed.Caller("new").Call(context.Background())
		require.NoError(t, err)
		require.Equal(t, "new", v)
	})
}

func TestSeedDownAtBoot(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		first, second := c.Start(1, 0), c.Start(2, 0)
		time.Sleep(time.Minute + 777*time.Millisecond)
		require.Zero(t, clustertest.Count(first, broach.Alive))
		c.Start(0)
		t.Log("joined after",
			c.Until(time.Second, "all see all", func() bool { return clustertest.AllSee(c.Nodes, 2) }))
		require.Equal(t, 2, clustertest.Count(second, broach.Alive))
	})
}

func TestNodesThatNameEachOther(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.Start(0, 1, 0)
		c.Start(1, 0, 1)
		t.Log("found each other after", c.Until(time.Second, "both see the other",
			func() bool { return clustertest.AllSee(c.Nodes, 1) }))
	})
}

// [TAB-3] A peer whose header shows a higher table version than the one held is asked for its table
func TestLargeTableIsPulled(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.Start(0)
		provider := c.Start(1, 0)
		for i := range 1000 {
			require.NoError(t, provider.Register(fmt.Sprintf("function number %d", i), func() {}))
		}
		start := time.Now()
		require.NoError(t, c.Nodes[0].WaitFor(context.Background(), "function number 999", 1))
		t.Log("known after", time.Since(start))
		require.Len(t, c.Nodes[0].Services(), 1000)
	})
}

// A call that is made in the instant of the start waits for the join.
func TestFirstCallWaitsForTheJoin(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		provider := c.Start(0)
		require.NoError(t, provider.Register("work01", func(x, y int) int { return x + y }))
		for i := range 5 {
			start := time.Now()
			_, err := c.Start(i+1, 0).Caller("work01").Call(context.Background(), 1, 2)
			require.NoError(t, err)
			require.Less(t, time.Since(start), 200*time.Millisecond)
		}
	})
}

func TestCutHeals(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.StartAll(10)
		c.Until(time.Second, "all see all", func() bool { return clustertest.AllSee(c.Nodes, 9) })
		half := clustertest.AddrsOf(c.Nodes[:5])
		c.Net.Cut(half, clustertest.AddrsOf(c.Nodes[5:]))
		t.Log("both halves alone after", c.Until(10*time.Second, "each half sees itself",
			func() bool { return clustertest.AllSee(c.Nodes, 4) }))
		time.Sleep(20 * time.Second)
		c.Net.Heal()
		t.Log("together again after", c.Until(3*time.Second, "all see all",
			func() bool { return clustertest.AllSee(c.Nodes, 9) }))
	})
}

// A cluster comes together through loss too: whatever of the introduction is lost, it is said again.
func TestClusterComesTogetherThroughLoss(t *testing.T) {
	t.Parallel()
	seeds := uint64(4)
	if race.Sampled {
		seeds = 1
	}
	for _, loss := range []float64{0.1, 0.25} {
		t.Run(fmt.Sprint(loss), func(t *testing.T) {
			for seed := uint64(1); seed <= seeds; seed++ {
				clustertest.Run(t, seed, func(c *clustertest.Cluster) {
					c.Net.SetDefault(simnet.Link{Loss: loss, Delay: 300 * time.Microsecond,
						Jitter: 200 * time.Microsecond})
					c.StartAll(32)
					t.Logf("seed %d: all see all after %v", seed,
						c.Until(10*time.Second, "all see all", func() bool { return clustertest.AllSee(c.Nodes, 31) }))
				})
			}
		})
	}
}

// [MEM-19] Who leaves sends it every 30 ms until the peer has answered, or leaves as well, for 300 ms at most: all
// peers hear it at a loss of a quarter too.
func TestLeavingIsHeardThroughLoss(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.StartAll(32)
		c.Until(2*time.Second, "all see all", func() bool { return clustertest.AllSee(c.Nodes, 31) })
		c.Net.SetDefault(simnet.Link{Loss: 0.25, Delay: 300 * time.Microsecond})
		for _, n := range c.Nodes[24:] {
			start := time.Now()
			require.NoError(t, n.Close())
			require.Less(t, time.Since(start), 310*time.Millisecond)
		}
		time.Sleep(10 * time.Millisecond)
		for _, n := range c.Nodes[:24] {
			require.Equal(t, 8, clustertest.Count(n, broach.Left))
		}
	})
}

// [LNK-3] All Opens of a contact have one token: an Offer counts that takes longer than 250 ms, and so does what
// answers a Confirm.
func TestSlowPathsJoinAndStay(t *testing.T) {
	for _, delay := range []time.Duration{100 * time.Millisecond, 150 * time.Millisecond, 600 * time.Millisecond} {
		t.Run(fmt.Sprint(2*delay), func(t *testing.T) {
			clustertest.Run(t, 1, func(c *clustertest.Cluster) {
				c.Net.SetDefault(simnet.Link{Delay: delay})
				for i := range 3 {
					c.Start(i, 0)
				}
				t.Log("all see all after", c.Until(10*delay, "all see all",
					func() bool { return clustertest.AllSee(c.Nodes, 2) }))
				doubts := clustertest.CountDoubts(t, c.Nodes)
				time.Sleep(time.Minute)
				require.Zero(t, doubts())
			})
		})
	}
}

// Two nodes that meet and at once call each other through a loss of a fifth each way neither doubt each other nor fail
// a call, even if one does not know yet that it is believed: [LNK-4], what a Confirm says goes again.
func TestCallsRightAfterALossyJoin(t *testing.T) {
	t.Parallel()
	many := uint64(60)
	if race.Sampled {
		many = 10
	}
	for seed := uint64(1); seed <= many; seed++ {
		clustertest.Run(t, seed, func(c *clustertest.Cluster) {
			c.Net.SetDefault(simnet.Link{Loss: 0.2, Delay: 50 * time.Microsecond, Jitter: 30 * time.Microsecond})
			// 16 tries in 3 s fail all in one of ten million calls: too often for a test
			c.Edit = func(cfg *broach.Config) {
				cfg.CallTimeout, cfg.AckTimeout = 10*time.Second, 10*time.Second
			}
			provider, caller := c.Start(0), c.Start(1, 0)
			require.NoError(t, provider.Register("add", func(i, j int) int { return i + j }))
			require.NoError(t, caller.WaitFor(context.Background(), "add", 1))
			doubts := clustertest.CountDoubts(t, c.Nodes)
			var callers errgroup.Group
			end := time.Now().Add(2 * time.Second)
			for range 16 {
				callers.Go(func() error { return addUntil(caller, end) })
			}
			require.NoError(t, callers.Wait(), "seed %d", seed)
			require.Zero(t, doubts(), "seed %d", seed)
		})
	}
}

// addUntil calls add again and again, until a call fails.
func addUntil(n *broach.Node, end time.Time) error {
	for time.Now().Before(end) {
		if _, err := broach.Call[int](context.Background(), n.Caller("add"), 1, 2); err != nil {
			return err
		}
	}
	return nil
}

// Register and Unregister reach everybody, whenever they happen.
func TestFunctionsComeAndGo(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.StartAll(5)
		c.Until(time.Second, "all see all", func() bool { return clustertest.AllSee(c.Nodes, 4) })
		provider := c.Nodes[3]
		require.NoError(t, provider.Register("late", func() int { return 7 }))
		knows := func() bool { return c.Callable("late", provider) }
		t.Log("known to all after", c.Until(time.Second, "all know", knows))
		require.NoError(t, provider.Unregister("late"))
		t.Log("forgotten by all after", c.Until(time.Second, "none knows", func() bool {
			return !slices.ContainsFunc(c.Nodes, func(n *broach.Node) bool { return len(n.Services()) > 0 })
		}))
	})
}

// A function that is registered while its node is joining is known as soon as any other.
func TestAFunctionRegisteredDuringTheJoinIsKnownAtOnce(t *testing.T) {
	for after := time.Duration(0); after < 2*time.Millisecond; after += 100 * time.Microsecond {
		clustertest.Run(t, 1, func(c *clustertest.Cluster) {
			c.Net.SetDefault(simnet.Link{Delay: 200 * time.Microsecond, Jitter: 100 * time.Microsecond})
			c.StartAll(10)
			time.Sleep(2 * time.Second)
			n := c.Start(10, 0)
			time.Sleep(after)
			require.NoError(t, n.Register("more", func(x int) int { return x }))
			took := c.Until(2*time.Second, "all know", func() bool {
				return !slices.ContainsFunc(c.Nodes[:10], func(o *broach.Node) bool { return len(o.Services()) == 0 })
			})
			require.LessOrEqual(t, took, 20*time.Millisecond, "registered %v after the start", after)
		})
	}
}
