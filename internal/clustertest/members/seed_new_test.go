package members

import (
	"context"
	"fmt"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// [MEM-6] A seed answers Join with List; one that has started within 500 ms, and has not yet had the whole List of a
// seed of its own [...] as soon as it has. So who joins by a process that has itself just started knows the cluster
// when it has joined, and its first call finds what is there.
func TestWhoJoinsByANewSeedFindsTheOthersAtItsFirstCall(t *testing.T) {
	t.Parallel()
	for _, delay := range []time.Duration{300 * time.Microsecond, 5 * time.Millisecond, 40 * time.Millisecond} {
		for _, keys := range [][][]byte{nil, {clustertest.KeyOf(1)}} {
			t.Run(fmt.Sprint(delay, ", keys: ", len(keys)), func(t *testing.T) {
				for seed := range uint64(11) {
					clustertest.Run(t, seed+1, func(c *clustertest.Cluster) {
						joinByNewSeed(c, delay,
							time.Duration(seed)*time.Millisecond, keys)
					})
				}
			})
		}
	}
}

// joinByNewSeed starts a seed of a cluster of three, and some time later three that know the seed alone and call at
// once.
func joinByNewSeed(c *clustertest.Cluster, delay, later time.Duration, keys [][]byte) {
	c.Net.SetDefault(simnet.Link{Delay: delay})
	c.Edit = func(cfg *broach.Config) { cfg.Keys = keys }
	c.StartAll(3)
	for i, n := range c.Nodes {
		require.NoError(c.T, n.Register(fmt.Sprint("work", i), func(x, y int) int { return x + y }))
	}
	c.Settle(2 * time.Second)
	c.Start(3, 0)
	time.Sleep(later)
	for i := range 3 {
		c.Start(4+i, 3)
	}
	for _, n := range c.Nodes[4:] {
		for i := range 3 {
			_, err := n.Caller(fmt.Sprint("work", i)).Call(context.Background(), 1, 2)
			require.NoError(c.T, err, "%v later", later)
		}
	}
}

// [MEM-6] or at the end of this time: a new process whose seeds are dead is a seed for others all the same.
func TestANewSeedThatFindsNobodyIsASeedAllTheSame(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.Start(1, 0)
		joiner := c.Start(2, 1)
		took := c.Until(time.Second, "it has joined", func() bool { return joiner.Stats().Joined })
		require.InDelta(t, 500*time.Millisecond, took, float64(60*time.Millisecond))
	})
}

// [MEM-6] but its own seeds at once: of those that are each other's seeds somebody has to begin.
func TestProcessesThatAreEachOthersSeedsJoinAtOnce(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		for i := range 3 {
			c.Start(i, 0, 1, 2)
		}
		c.Until(20*time.Millisecond, "all have joined", func() bool {
			return c.Nodes[0].Stats().Joined && c.Nodes[1].Stats().Joined && c.Nodes[2].Stats().Joined &&
				clustertest.AllSee(c.Nodes, 2)
		})
	})
}
