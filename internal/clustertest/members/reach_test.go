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
)

// notReached counts the pairs of nodes of which one says that it does not reach the other.
func notReached(nodes []*broach.Node) int {
	pairs := 0
	for _, n := range nodes {
		for _, m := range n.Members() {
			if m.Unreachable {
				pairs++
			}
		}
	}
	return pairs
}

// [MEM-22] A peer that answered none of 16 Pings, though a witness vouched for it or something came from it meanwhile,
// stays a member and is unreachable for this node: calls to it fail at once. A Pong ends that.
func TestOneWayLossIsAFactOfThePath(t *testing.T) {
	t.Parallel()
	for _, size := range []int{3, 32} {
		if race.Sampled && size > 3 {
			continue
		}
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			clustertest.Run(t, 1, func(c *clustertest.Cluster) {
				c.StartAll(size)
				c.Until(2*time.Second, "all see all", func() bool { return clustertest.AllSee(c.Nodes, size-1) })
				deaf, speaker := c.Nodes[1], c.Nodes[2]
				require.NoError(t, deaf.Register("f", func() {}))
				require.NoError(t, speaker.WaitFor(context.Background(), "f", 1))
				doubts := clustertest.CountDoubts(t, c.Nodes)
				c.Net.CutOneWay(clustertest.AddrsOf([]*broach.Node{speaker}), clustertest.AddrsOf([]*broach.Node{deaf}))

				start := time.Now()
				_, err := speaker.Caller("f").Call(context.Background())
				clustertest.RequireError(t, err, broach.Unreachable, broach.Maybe)
				t.Log("the call in flight failed after", time.Since(start))
				c.Until(20*time.Second, "both know", func() bool { return notReached(c.Nodes) == 2 })
				t.Log("both ends know after", time.Since(start))
				start = time.Now()
				_, err = speaker.Caller("f").Call(context.Background())
				clustertest.RequireError(t, err, broach.Unavailable, broach.No)
				require.Zero(t, time.Since(start), "at once")

				time.Sleep(time.Minute)
				require.Equal(t, 2, notReached(c.Nodes), "nobody else")
				c.Net.Heal()
				t.Log("reached again after", c.Until(2*time.Second, "all reach all",
					func() bool { return notReached(c.Nodes) == 0 }))
				_, err = speaker.Caller("f").Call(context.Background())
				require.NoError(t, err)
				require.Zero(t, doubts(), "nobody was called suspect or offline")
			})
		})
	}
}

// A member that cannot be reached from here, and then dies, is offline everywhere as soon as any other.
func TestDeathOfAnUnreachableMember(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.StartAll(8)
		c.Until(2*time.Second, "all see all", func() bool { return clustertest.AllSee(c.Nodes, 7) })
		victim := c.Nodes[1]
		c.Net.Cut(clustertest.AddrsOf([]*broach.Node{victim}), clustertest.AddrsOf([]*broach.Node{c.Nodes[2]}))
		c.Until(5*time.Second, "both know", func() bool { return notReached(c.Nodes) == 2 })
		c.Kill(victim)
		t.Log("all know after", c.Until(2*time.Second, "offline for all", func() bool {
			seen, left := 0, slices.Delete(slices.Clone(c.Nodes), 1, 2)
			for _, n := range left {
				seen += clustertest.Count(n, broach.Offline)
			}
			return seen == 7 && notReached(left) == 0
		}))
	})
}

// Loss alone makes nobody unreachable.
func TestLossIsNotTakenForABrokenPath(t *testing.T) {
	t.Parallel()
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.Net.SetDefault(simnet.Link{Loss: 0.25, Delay: 300 * time.Microsecond, Jitter: 200 * time.Microsecond})
		c.StartAll(16)
		c.Until(10*time.Second, "all see all", func() bool { return clustertest.AllSee(c.Nodes, 15) })
		for range 600 {
			time.Sleep(100 * time.Millisecond)
			require.Zero(t, notReached(c.Nodes))
		}
	})
}
