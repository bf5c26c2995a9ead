package goals

import (
	"fmt"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/race"

	"github.com/stretchr/testify/require"
)

// [G1] A death is known to all within 1.5 s, at any size of the cluster.
// [G2] The same at a loss of 5 and 10 %, and within 2.5 s at 25 %.
func TestDeathIsKnown(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		loss  float64
		bound time.Duration
		sizes []int
	}{
		{0, 1500 * time.Millisecond, sizes()},
		{0.05, 1500 * time.Millisecond, []int{32}},
		{0.10, 1500 * time.Millisecond, []int{32}},
		{0.25, 2500 * time.Millisecond, []int{32}},
	} {
		for _, size := range test.sizes {
			if tooMany(test.loss) {
				continue
			}
			t.Run(fmt.Sprint(size, " nodes, loss ", test.loss), func(t *testing.T) {
				var first []time.Duration
				all := trials(t, size, test.loss, func(c *clustertest.Cluster) (all []time.Duration) {
					for k := range departures(size) {
						f, a := die(c, c.Nodes[k+1])
						first, all = append(first, f), append(all, a)
						time.Sleep(time.Duration(size)*60*time.Millisecond + time.Duration(k+1)*137*time.Millisecond)
					}
					return all
				})
				clustertest.RequireWithin(t, test.bound, "the first knows", first)
				clustertest.RequireWithin(t, test.bound, "all know", all)
			})
		}
	}
}

// departures is how many nodes of a cluster depart: two stay at least, as witnesses of each other.
func departures(nodes int) int {
	if race.Sampled {
		return min(nodes-2, 2)
	}
	return min(nodes-2, 5)
}

// die kills a node, and returns when the first and when all others knew.
func die(c *clustertest.Cluster, n *broach.Node) (first, all time.Duration) {
	c.T.Helper()
	start := time.Now()
	c.Kill(n)
	reports := c.Watch()
	all = c.Until(5*time.Second, "all know", c.AllSay(n, broach.Offline))
	first = all
	for _, r := range clustertest.DeathsOf(reports()) {
		if r.About == n.Addr() {
			first = min(first, r.At.Sub(start))
		}
	}
	return first, all
}

// [G7] That a node leaves is known to all within 20 ms, at a loss of 25 % within 0.3 s, and nobody takes it for dead.
func TestLeaveIsKnown(t *testing.T) {
	t.Parallel()
	for _, size := range sizes() {
		t.Run(fmt.Sprint(size, " nodes"), func(t *testing.T) {
			clustertest.RequireWithin(t, 20*time.Millisecond, "all know", trials(t, size, 0, leaveInTurn))
		})
	}
	clustertest.RequireWithin(t, 300*time.Millisecond, "all know, through loss", trials(t, 32, 0.25, leaveInTurn))
}

// leaveInTurn lets nodes leave one after the other, and returns how long the others took to know.
func leaveInTurn(c *clustertest.Cluster) (took []time.Duration) {
	reports := c.Watch()
	for _, n := range c.Nodes[1 : 1+departures(len(c.Nodes))] {
		closed := make(chan error, 1)
		go func() { closed <- n.Close() }()
		took = append(took, c.Until(5*time.Second, "all know", c.AllSay(n, broach.Left)))
		require.NoError(c.T, <-closed)
		time.Sleep(2 * time.Second)
	}
	require.Empty(c.T, clustertest.DeathsOf(reports()))
	return took
}
