package broach

import (
	"fmt"
	"testing"
	"time"

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
				all := trials(t, size, test.loss, func(c *cluster) (all []time.Duration) {
					for k := range departures(size) {
						f, a := c.die(c.nodes[k+1])
						first, all = append(first, f), append(all, a)
						time.Sleep(time.Duration(size)*60*time.Millisecond + time.Duration(k+1)*137*time.Millisecond)
					}
					return all
				})
				requireWithin(t, test.bound, "the first knows", first)
				requireWithin(t, test.bound, "all know", all)
			})
		}
	}
}

// departures is how many nodes of a cluster depart: two stay at least, as witnesses of each other.
func departures(nodes int) int {
	if race.Enabled {
		return min(nodes-2, 2)
	}
	return min(nodes-2, 5)
}

// die kills a node, and returns when the first and when all others knew.
func (c *cluster) die(n *Node) (first, all time.Duration) {
	c.t.Helper()
	start := time.Now()
	c.kill(n)
	c.until(5*time.Second, "the first knows", func() bool { return c.say(n, Offline) > 0 })
	first = time.Since(start)
	c.until(5*time.Second, "all know", func() bool { return c.say(n, Offline) == len(c.live()) })
	return first, time.Since(start)
}

// [G7] That a node leaves is known to all within 20 ms, at a loss of 25 % within 0.3 s, and nobody takes it for dead.
func TestLeaveIsKnown(t *testing.T) {
	t.Parallel()
	for _, size := range sizes() {
		t.Run(fmt.Sprint(size, " nodes"), func(t *testing.T) {
			requireWithin(t, 20*time.Millisecond, "all know", trials(t, size, 0, leaveInTurn))
		})
	}
	requireWithin(t, 300*time.Millisecond, "all know, through loss", trials(t, 32, 0.25, leaveInTurn))
}

// leaveInTurn lets nodes leave one after the other, and returns how long the others took to know.
func leaveInTurn(c *cluster) (took []time.Duration) {
	reports := c.watch()
	for _, n := range c.nodes[1 : 1+departures(len(c.nodes))] {
		closed := make(chan error, 1)
		go func() { closed <- n.Close() }()
		took = append(took, c.until(5*time.Second, "all know", func() bool { return c.say(n, Left) == len(c.live()) }))
		require.NoError(c.t, <-closed)
		time.Sleep(2 * time.Second)
	}
	require.Empty(c.t, deathsOf(reports()))
	return took
}
