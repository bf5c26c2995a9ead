package broach

import (
	"context"
	"fmt"
	"testing"
	"time"

	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// [MEM-6] A seed answers Join with List; one that has started within 500 ms, and has not yet had the whole List of a
// seed of its own [...] as soon as it has. So who joins by a process that has itself just started knows the cluster
// when it has joined, and its first call finds what is there.
func TestWhoJoinsByANewSeedFindsTheOthersAtItsFirstCall(t *testing.T) {
	t.Parallel()
	for _, delay := range []time.Duration{300 * time.Microsecond, 5 * time.Millisecond, 40 * time.Millisecond} {
		for _, keys := range [][][]byte{nil, {keyOf(1)}} {
			t.Run(fmt.Sprint(delay, ", keys: ", len(keys)), func(t *testing.T) {
				for seed := range uint64(11) {
					inCluster(t, seed+1, func(c *cluster) { c.joinByNewSeed(delay, time.Duration(seed)*time.Millisecond, keys) })
				}
			})
		}
	}
}

// joinByNewSeed starts a seed of a cluster of three, and some time later three that know the seed alone and call at
// once.
func (c *cluster) joinByNewSeed(delay, later time.Duration, keys [][]byte) {
	c.net.SetDefault(simnet.Link{Delay: delay})
	c.edit = func(cfg *Config) { cfg.Keys = keys }
	c.startAll(3)
	for i, n := range c.nodes {
		require.NoError(c.t, n.Register(fmt.Sprint("work", i), func(x, y int) int { return x + y }))
	}
	c.settle(2 * time.Second)
	c.start(3, 0)
	time.Sleep(later)
	for i := range 3 {
		c.start(4+i, 3)
	}
	for _, n := range c.nodes[4:] {
		for i := range 3 {
			_, err := n.Caller(fmt.Sprint("work", i)).Call(context.Background(), 1, 2)
			require.NoError(c.t, err, "%v later", later)
		}
	}
}

// [MEM-6] or at the end of this time: a new process whose seeds are dead is a seed for others all the same.
func TestANewSeedThatFindsNobodyIsASeedAllTheSame(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		c.start(1, 0)
		joiner := c.start(2, 1)
		took := c.until(time.Second, "it has joined", func() bool { return joiner.Stats().Joined })
		require.InDelta(t, 500*time.Millisecond, took, float64(60*time.Millisecond))
	})
}

// [MEM-6] but its own seeds at once: of those that are each other's seeds somebody has to begin.
func TestProcessesThatAreEachOthersSeedsJoinAtOnce(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		for i := range 3 {
			c.start(i, 0, 1, 2)
		}
		c.until(20*time.Millisecond, "all have joined", func() bool {
			return c.nodes[0].Stats().Joined && c.nodes[1].Stats().Joined && c.nodes[2].Stats().Joined && allSee(c.nodes, 2)
		})
	})
}
