package broach

import (
	"context"
	"fmt"
	"testing"
	"time"

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
			inCluster(t, uint64(size), func(c *cluster) {
				c.startAll(size)
				t.Log("all see all after", c.until(2*time.Second, "all see all", func() bool { return allSee(c.nodes, size-1) }))

				c.start(size, 0)
				t.Log("one more is seen by all after",
					c.until(time.Second, "all see the one", func() bool { return allSee(c.nodes, size) }))

				time.Sleep(5 * time.Second)
				require.True(t, allSee(c.nodes, size), "a live node was doubted")

				victim, others := c.nodes[1], append([]*Node{c.nodes[0]}, c.nodes[2:]...)
				c.kill(victim)
				t.Log("its death is known to all after", c.until(3*time.Second, "all know of the death",
					func() bool { return allSee(others, size-1) }))
			})
		})
	}
}

// A process that comes back at its address is another process: it is seen at once, with what it offers now.
func TestRestartAtTheSameAddress(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		seed, old := c.start(0), c.start(1, 0)
		require.NoError(t, old.Register("old", func() string { return "old" }))
		require.NoError(t, seed.WaitFor(context.Background(), "old", 1))
		c.kill(old)
		restarted := c.start(1, 0)
		require.NoError(t, restarted.Register("new", func() string { return "new" }))
		start := time.Now()
		require.NoError(t, seed.WaitFor(context.Background(), "new", 1))
		t.Log("the restart is known after", time.Since(start))
		_, err := seed.Caller("old").Call(context.Background())
		require.ErrorIs(t, err, ErrNotFound)
		v, err := seed.Caller("new").Call(context.Background())
		require.NoError(t, err)
		require.Equal(t, "new", v)
	})
}

func TestSeedDownAtBoot(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		first, second := c.start(1, 0), c.start(2, 0)
		time.Sleep(time.Minute + 777*time.Millisecond)
		require.Zero(t, count(first, Alive))
		c.start(0)
		t.Log("joined after", c.until(time.Second, "all see all", func() bool { return allSee(c.nodes, 2) }))
		require.Equal(t, 2, count(second, Alive))
	})
}

func TestNodesThatNameEachOther(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		c.start(0, 1, 0)
		c.start(1, 0, 1)
		t.Log("found each other after", c.until(time.Second, "both see the other", func() bool { return allSee(c.nodes, 1) }))
	})
}

// Register and Unregister reach everybody, whenever they happen.
func TestFunctionsComeAndGo(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		c.startAll(5)
		c.until(time.Second, "all see all", func() bool { return allSee(c.nodes, 4) })
		provider := c.nodes[3]
		require.NoError(t, provider.Register("late", func() int { return 7 }))
		knows := func() bool {
			for _, n := range c.nodes {
				if n != provider && len(n.calling.view.Load().routes.get("late").candidates()) != 1 {
					return false
				}
			}
			return true
		}
		t.Log("known to all after", c.until(time.Second, "all know", knows))
		require.NoError(t, provider.Unregister("late"))
		t.Log("forgotten by all after", c.until(time.Second, "none knows", func() bool {
			for _, n := range c.nodes {
				if n.calling.view.Load().routes.get("late") != nil {
					return false
				}
			}
			return true
		}))
	})
}

// [TAB-3] A peer whose header shows a higher table version than the one held is asked for its table
func TestLargeTableIsPulled(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		c.start(0)
		provider := c.start(1, 0)
		for i := range 1000 {
			require.NoError(t, provider.Register(fmt.Sprintf("function number %d", i), func() {}))
		}
		start := time.Now()
		require.NoError(t, c.nodes[0].WaitFor(context.Background(), "function number 999", 1))
		t.Log("known after", time.Since(start))
		require.Len(t, c.nodes[0].Services(), 1000)
	})
}

// A call that is made in the instant of the start waits for the join.
func TestFirstCallWaitsForTheJoin(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		provider := c.start(0)
		require.NoError(t, provider.Register("work01", func(x, y int) int { return x + y }))
		for i := range 5 {
			start := time.Now()
			_, err := c.start(i+1, 0).Caller("work01").Call(context.Background(), 1, 2)
			require.NoError(t, err)
			require.Less(t, time.Since(start), 200*time.Millisecond)
		}
	})
}

func TestCutHeals(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		c.startAll(10)
		c.until(time.Second, "all see all", func() bool { return allSee(c.nodes, 9) })
		half := addrsOf(c.nodes[:5])
		c.net.Cut(half, addrsOf(c.nodes[5:]))
		t.Log("both halves alone after", c.until(10*time.Second, "each half sees itself", func() bool { return allSee(c.nodes, 4) }))
		time.Sleep(20 * time.Second)
		c.net.Heal()
		t.Log("together again after", c.until(3*time.Second, "all see all", func() bool { return allSee(c.nodes, 9) }))
	})
}

// A cluster comes together through loss too: whatever of the introduction is lost, it is said again.
func TestClusterComesTogetherThroughLoss(t *testing.T) {
	t.Parallel()
	for _, loss := range []float64{0.1, 0.25} {
		t.Run(fmt.Sprint(loss), func(t *testing.T) {
			for seed := uint64(1); seed <= 4; seed++ {
				inCluster(t, seed, func(c *cluster) {
					c.net.SetDefault(simnet.Link{Loss: loss, Delay: 300 * time.Microsecond, Jitter: 200 * time.Microsecond})
					c.startAll(32)
					t.Logf("seed %d: all see all after %v", seed,
						c.until(10*time.Second, "all see all", func() bool { return allSee(c.nodes, 31) }))
				})
			}
		})
	}
}

// [MEM-19] Who leaves sends it every 30 ms until the peer has answered, or leaves as well, for 300 ms at most: all
// peers hear it at a loss of a quarter too.
func TestLeavingIsHeardThroughLoss(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		c.startAll(32)
		c.until(2*time.Second, "all see all", func() bool { return allSee(c.nodes, 31) })
		c.net.SetDefault(simnet.Link{Loss: 0.25, Delay: 300 * time.Microsecond})
		for _, n := range c.nodes[24:] {
			start := time.Now()
			require.NoError(t, n.Close())
			require.Less(t, time.Since(start), 310*time.Millisecond)
		}
		time.Sleep(10 * time.Millisecond)
		for _, n := range c.nodes[:24] {
			require.Equal(t, 8, count(n, Left))
		}
	})
}

// [LNK-3] All Opens of a contact have one token: an Offer counts that takes longer than 250 ms, and so does what
// answers a Confirm.
func TestSlowPathsJoinAndStay(t *testing.T) {
	for _, delay := range []time.Duration{100 * time.Millisecond, 150 * time.Millisecond, 600 * time.Millisecond} {
		t.Run(fmt.Sprint(2*delay), func(t *testing.T) {
			inCluster(t, 1, func(c *cluster) {
				c.net.SetDefault(simnet.Link{Delay: delay})
				for i := range 3 {
					c.start(i, 0)
				}
				t.Log("all see all after", c.until(10*delay, "all see all", func() bool { return allSee(c.nodes, 2) }))
				doubts := countDoubts(t, c.nodes)
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
	if race.Enabled {
		many = 10
	}
	for seed := uint64(1); seed <= many; seed++ {
		inCluster(t, seed, func(c *cluster) {
			c.net.SetDefault(simnet.Link{Loss: 0.2, Delay: 50 * time.Microsecond, Jitter: 30 * time.Microsecond})
			c.edit = func(cfg *Config) { // 16 tries in 3 s fail all in one of ten million calls: too often for a test
				cfg.CallTimeout, cfg.AckTimeout = 10*time.Second, 10*time.Second
			}
			provider, caller := c.start(0), c.start(1, 0)
			require.NoError(t, provider.Register("add", func(i, j int) int { return i + j }))
			require.NoError(t, caller.WaitFor(context.Background(), "add", 1))
			doubts := countDoubts(t, c.nodes)
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
func addUntil(n *Node, end time.Time) error {
	for time.Now().Before(end) {
		if _, err := Call[int](context.Background(), n.Caller("add"), 1, 2); err != nil {
			return err
		}
	}
	return nil
}
