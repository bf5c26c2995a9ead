package timers

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

const ownerJitter = 5 * time.Millisecond // of the timers of these tests

// timed is a cluster whose nodes have one timer with one owner.
type timed struct {
	*clustertest.Cluster
	d      time.Duration
	runs   runLog
	timers map[*broach.Node]*broach.Timer
}

// inTimed runs a test on k nodes that have joined and had the timer for a few periods.
func inTimed(t *testing.T, k int, d time.Duration, test func(c *timed)) {
	clustertest.Run(t, 1, func(cl *clustertest.Cluster) {
		c := &timed{Cluster: cl, d: d, timers: map[*broach.Node]*broach.Timer{}}
		for i := range k {
			c.begin(i)
		}
		c.Settle(2 * time.Second)
		time.Sleep(3*d + time.Second)
		test(c)
	})
}

// begin starts a node with the timer.
func (c *timed) begin(i int) *broach.Node {
	n := c.Start(i, 0, 1)
	c.timers[n] = every(c.Cluster, n, c.d, c.runs.of(i), broach.OneOwner("report"), broach.Jitter(ownerJitter))
	return n
}

// owner finds the one node that says it is the owner, among those given.
func (c *timed) owner(among []*broach.Node) *broach.Node {
	c.T.Helper()
	var owners []*broach.Node
	for _, n := range among {
		if c.timers[n].IsOwner() {
			owners = append(owners, n)
		}
	}
	require.Len(c.T, owners, 1)
	return owners[0]
}

// others are the nodes but one.
func (c *timed) others(n *broach.Node) []*broach.Node {
	return slices.DeleteFunc(slices.Clone(c.Nodes), func(o *broach.Node) bool { return o == n })
}

// numberOf is the number of a node.
func (c *timed) numberOf(n *broach.Node) int {
	for i := range c.Nodes {
		if clustertest.AddrOf(i) == n.Addr() {
			return i
		}
	}
	panic("no such node")
}

// next waits for the next run, and returns when it began and where.
func (c *timed) next(limit time.Duration) (time.Time, int) {
	c.T.Helper()
	before := c.runs.count()
	c.Until(limit, "a run", func() bool { return c.runs.count() > before })
	return c.runs.times()[before], c.runs.nodes()[before]
}

// requireSteady holds the runs from one on to one a period.
func (c *timed) requireSteady(from int, slack time.Duration) {
	c.T.Helper()
	shortest, longest := c.runs.gaps(from)
	c.T.Logf("%d runs, from %v to %v apart", c.runs.count()-from, shortest, longest)
	require.GreaterOrEqual(c.T, shortest, c.d/2)
	require.LessOrEqual(c.T, longest, c.d+ownerJitter+slack)
}

// Of five nodes one runs the timer, once in each of 200 periods, without loss and with.
func TestOneOwnerRuns(t *testing.T) {
	t.Parallel()
	for _, loss := range []float64{0, 0.1} {
		t.Run(fmt.Sprint("loss ", loss), func(t *testing.T) {
			inTimed(t, 5, 100*time.Millisecond, func(c *timed) {
				c.Net.SetDefault(clustertest.Lossy(loss))
				from := c.runs.count()
				time.Sleep(20 * time.Second)
				require.InDelta(c.T, 200, c.runs.count()-from, 1)
				c.requireSteady(from, 0)
				owner := c.numberOf(c.owner(c.Nodes))
				for _, i := range c.runs.nodes()[from:] {
					require.Equal(c.T, owner, i)
				}
				require.Empty(c.T, c.Nodes[0].Services(), "users are not shown the timer's row")
			})
		})
	}
}

// The owner dies right after a run: the next one runs a period later, or when the death is noticed if that takes
// longer. [TMR-1]
func TestTheOwnerDies(t *testing.T) {
	t.Parallel()
	for _, d := range []time.Duration{100 * time.Millisecond, time.Second, 10 * time.Second} {
		t.Run(d.String(), func(t *testing.T) {
			inTimed(t, 5, d, func(c *timed) {
				owner := c.owner(c.Nodes)
				last, _ := c.next(2 * d)
				time.Sleep(10 * time.Millisecond)
				c.Kill(owner)
				from := c.runs.count()
				at, node := c.next(20 * time.Second)
				c.T.Logf("every %v: %v between the last run and the next", d, at.Sub(last))
				require.LessOrEqual(c.T, at.Sub(last), max(d, 1500*time.Millisecond)+ownerJitter)
				require.GreaterOrEqual(c.T, at.Sub(last), d/2)
				require.NotEqual(c.T, c.numberOf(owner), node)
				time.Sleep(20 * d)
				c.requireSteady(from, 0)
				c.owner(c.others(owner))
			})
		})
	}
}

// The owner leaves, or stops its timer, right before, after or between runs: nobody sees that from the runs.
func TestTheOwnerLeaves(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{0, 50, 95, 99} {
		for _, way := range []string{"leaves", "stops"} {
			t.Run(fmt.Sprintf("%s after %d ms", way, after), func(t *testing.T) {
				inTimed(t, 5, 100*time.Millisecond, func(c *timed) {
					owner := c.owner(c.Nodes)
					c.next(time.Second)
					time.Sleep(after * time.Millisecond)
					from := c.runs.count() - 1
					if way == "leaves" {
						require.NoError(c.T, owner.Leave(context.Background()))
					} else {
						c.timers[owner].Stop()
					}
					time.Sleep(2 * time.Second)
					c.requireSteady(from, 50*time.Millisecond)
					require.NotEqual(c.T, owner, c.owner(c.others(owner)))
				})
			})
		}
	}
}

// [TMR-4] A node that starts anew waits with the timer until it has joined.
func TestATimerWaitsForJoining(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		var runs runLog
		n := c.Start(1, 0) // the seed is down
		start := time.Now()
		every(c, n, 10*time.Millisecond, runs.of(1), broach.OneOwner("report"), broach.Jitter(0))
		time.Sleep(1995 * time.Millisecond)
		require.Equal(c.T, time.Second, runs.times()[0].Sub(start))
		require.Equal(c.T, 100, runs.count())
	})
}

// The owner and the two after it die at once: the fourth has heard of the last run too. [TMR-2]
func TestTheOwnerAndItsHeirsDie(t *testing.T) {
	t.Parallel()
	inTimed(t, 6, 10*time.Second, func(c *timed) {
		last, _ := c.next(20 * time.Second)
		time.Sleep(10 * time.Millisecond)
		order := []int{0, 1, 2, 3, 4, 5}
		slices.SortFunc(order, func(a, b int) int { return cmp.Compare(score(b), score(a)) })
		for _, i := range order[:3] {
			c.Kill(c.Nodes[i])
		}
		at, node := c.next(20 * time.Second)
		require.Equal(c.T, order[3], node)
		require.InDelta(c.T, 10, at.Sub(last).Seconds(), 0.01)
	})
}

// [TMR-3] Turn from a node that does not have the timer is ignored, and one for a timer that nobody has is not found. A
// process cannot move its own timer either.
func TestForeignTurns(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		var runs runLog
		n, stranger := c.Start(0), c.Start(1, 0)
		const row = "\x00creport" // PROTOCOL.md 5.2
		timer := every(c, n, time.Second, runs.of(0), broach.OneOwner("report"), broach.Jitter(0))
		require.NoError(c.T, stranger.WaitFor(context.Background(), row, 1))
		time.Sleep(time.Second + time.Millisecond)
		start := time.Now()
		for range 100 {
			for _, from := range []*broach.Node{n, stranger} {
				require.NoError(c.T, from.Caller(row).Send(context.Background(), int64(0), true))
				require.NoError(c.T, from.Caller(row).Send(context.Background(), int64(-1)<<62, false))
			}
			time.Sleep(100 * time.Millisecond)
		}
		require.InDelta(c.T, time.Since(start).Seconds(), runs.count()-1, 1)
		_, err := stranger.Caller("\x00cnobody's").Call(context.Background())
		clustertest.RequireError(c.T, err, broach.NotFound, broach.No)
		require.ErrorIs(c.T, n.Unregister(row), broach.ErrNotFound)
		timer.Stop()
		c.Until(time.Second, "the row is gone", func() bool { return !clustertest.KnowsName(stranger, row) })
	})
}
