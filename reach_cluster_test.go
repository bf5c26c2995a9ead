package broach

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"broach/internal/race"
	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// notReached counts the pairs of nodes of which one says that it does not reach the other.
func notReached(nodes []*Node) int {
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
		if race.Enabled && size > 3 {
			continue
		}
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			inCluster(t, 1, func(c *cluster) {
				c.startAll(size)
				c.until(2*time.Second, "all see all", func() bool { return allSee(c.nodes, size-1) })
				deaf, speaker := c.nodes[1], c.nodes[2]
				require.NoError(t, deaf.Register("f", func() {}))
				c.until(time.Second, "the function is known", func() bool { return speaker.calling.view.Load().routes.get("f") != nil })
				doubts := countDoubts(t, c.nodes)
				c.net.CutOneWay(addrsOf([]*Node{speaker}), addrsOf([]*Node{deaf}))

				start := time.Now()
				_, err := speaker.Caller("f").Call(context.Background())
				requireError(t, err, Unreachable, Maybe)
				t.Log("the call in flight failed after", time.Since(start))
				c.until(20*time.Second, "both know", func() bool { return notReached(c.nodes) == 2 })
				t.Log("both ends know after", time.Since(start))
				start = time.Now()
				_, err = speaker.Caller("f").Call(context.Background())
				requireError(t, err, Unavailable, No)
				require.Zero(t, time.Since(start), "at once")

				time.Sleep(time.Minute)
				require.Equal(t, 2, notReached(c.nodes), "nobody else")
				c.net.Heal()
				t.Log("reached again after", c.until(2*time.Second, "all reach all", func() bool { return notReached(c.nodes) == 0 }))
				_, err = speaker.Caller("f").Call(context.Background())
				require.NoError(t, err)
				require.Zero(t, doubts(), "nobody was called suspect or offline")
			})
		})
	}
}

// A member that cannot be reached from here, and then dies, is offline everywhere as soon as any other.
func TestDeathOfAnUnreachableMember(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		c.startAll(8)
		c.until(2*time.Second, "all see all", func() bool { return allSee(c.nodes, 7) })
		victim := c.nodes[1]
		c.net.Cut(addrsOf([]*Node{victim}), addrsOf([]*Node{c.nodes[2]}))
		c.until(5*time.Second, "both know", func() bool { return notReached(c.nodes) == 2 })
		c.kill(victim)
		t.Log("all know after", c.until(2*time.Second, "offline for all", func() bool {
			seen, left := 0, slices.Delete(slices.Clone(c.nodes), 1, 2)
			for _, n := range left {
				seen += count(n, Offline)
			}
			return seen == 7 && notReached(left) == 0
		}))
	})
}

// Loss alone makes nobody unreachable.
func TestLossIsNotTakenForABrokenPath(t *testing.T) {
	t.Parallel()
	inCluster(t, 1, func(c *cluster) {
		c.net.SetDefault(simnet.Link{Loss: 0.25, Delay: 300 * time.Microsecond, Jitter: 200 * time.Microsecond})
		c.startAll(16)
		c.until(10*time.Second, "all see all", func() bool { return allSee(c.nodes, 15) })
		for range 600 {
			time.Sleep(100 * time.Millisecond)
			require.Zero(t, notReached(c.nodes))
		}
	})
}
