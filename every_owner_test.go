package broach

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"testing"
	"time"

	"broach/internal/codec"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

const ownerJitter = 5 * time.Millisecond // of the timers of these tests

// timed is a cluster whose nodes have one timer with one owner.
type timed struct {
	*cluster
	d      time.Duration
	runs   runLog
	timers map[*Node]*Timer
}

// inTimed runs a test on k nodes that have joined and had the timer for a few periods.
func inTimed(t *testing.T, k int, d time.Duration, test func(c *timed)) {
	inCluster(t, 1, func(cl *cluster) {
		c := &timed{cluster: cl, d: d, timers: map[*Node]*Timer{}}
		for i := range k {
			c.begin(i)
		}
		c.settle(2 * time.Second)
		time.Sleep(3*d + time.Second)
		test(c)
	})
}

// begin starts a node with the timer.
func (c *timed) begin(i int) *Node {
	n := c.start(i, 0, 1)
	c.timers[n] = c.every(n, c.d, c.runs.of(i), OneOwner("report"), Jitter(ownerJitter))
	return n
}

// owner finds the one node that says it is the owner, among those given.
func (c *timed) owner(among []*Node) *Node {
	c.t.Helper()
	var owners []*Node
	for _, n := range among {
		if c.timers[n].IsOwner() {
			owners = append(owners, n)
		}
	}
	require.Len(c.t, owners, 1)
	return owners[0]
}

// others are the nodes but one.
func (c *timed) others(n *Node) []*Node {
	return slices.DeleteFunc(slices.Clone(c.nodes), func(o *Node) bool { return o == n })
}

// numberOf is the number of a node.
func (c *timed) numberOf(n *Node) int {
	for i := range c.nodes {
		if addrOf(i) == n.Addr() {
			return i
		}
	}
	panic("no such node")
}

// next waits for the next run, and returns when it began and where.
func (c *timed) next(limit time.Duration) (time.Time, int) {
	c.t.Helper()
	before := c.runs.count()
	c.until(limit, "a run", func() bool { return c.runs.count() > before })
	return c.runs.times()[before], c.runs.nodes()[before]
}

// requireSteady holds the runs from one on to one a period.
func (c *timed) requireSteady(from int, slack time.Duration) {
	c.t.Helper()
	shortest, longest := c.runs.gaps(from)
	c.t.Logf("%d runs, from %v to %v apart", c.runs.count()-from, shortest, longest)
	require.GreaterOrEqual(c.t, shortest, c.d/2)
	require.LessOrEqual(c.t, longest, c.d+ownerJitter+slack)
}

// The arguments of Turn are those of PROTOCOL.md 5.2.
func TestTurnArguments(t *testing.T) {
	args := codec.Arguments{List: []any{int64(1000), true}}
	b, err := args.Append(nil, maxMessageMost)
	require.NoError(t, err)
	require.Equal(t, "92cd03e8c3", hex.EncodeToString(b))
}

// Of five nodes one runs the timer, once in each of 200 periods, without loss and with.
func TestOneOwnerRuns(t *testing.T) {
	t.Parallel()
	for _, loss := range []float64{0, 0.1} {
		t.Run(fmt.Sprint("loss ", loss), func(t *testing.T) {
			inTimed(t, 5, 100*time.Millisecond, func(c *timed) {
				c.net.SetDefault(lossy(loss))
				from := c.runs.count()
				time.Sleep(20 * time.Second)
				require.InDelta(c.t, 200, c.runs.count()-from, 1)
				c.requireSteady(from, 0)
				owner := c.numberOf(c.owner(c.nodes))
				for _, i := range c.runs.nodes()[from:] {
					require.Equal(c.t, owner, i)
				}
				require.Empty(c.t, c.nodes[0].Services(), "users are not shown the timer's row")
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
				owner := c.owner(c.nodes)
				last, _ := c.next(2 * d)
				time.Sleep(10 * time.Millisecond)
				c.kill(owner)
				from := c.runs.count()
				at, node := c.next(20 * time.Second)
				c.t.Logf("every %v: %v between the last run and the next", d, at.Sub(last))
				require.LessOrEqual(c.t, at.Sub(last), max(d, 1500*time.Millisecond)+ownerJitter)
				require.GreaterOrEqual(c.t, at.Sub(last), d/2)
				require.NotEqual(c.t, c.numberOf(owner), node)
				time.Sleep(20 * d)
				c.requireSteady(from, 0)
				c.owner(c.others(owner))
			})
		})
	}
}

// The owner and the two after it die at once: the fourth has heard of the last run too. [TMR-2]
func TestTheOwnerAndItsHeirsDie(t *testing.T) {
	t.Parallel()
	inTimed(t, 6, 10*time.Second, func(c *timed) {
		last, _ := c.next(20 * time.Second)
		time.Sleep(10 * time.Millisecond)
		order := c.timers[c.nodes[0]].order()
		number := func(n *Node) uint64 { // as the first node knows it
			if n == c.nodes[0] {
				return n.linking.wires.Process.Boot
			}
			return wire.Process{Boot: n.linking.wires.Process.Boot, Addr: n.Addr()}.Hash()
		}
		for _, n := range c.nodes {
			if slices.Contains(order[:3], number(n)) {
				c.kill(n)
			}
		}
		at, node := c.next(20 * time.Second)
		require.Equal(c.t, order[3], number(c.nodes[node]))
		require.InDelta(c.t, 10, at.Sub(last).Seconds(), 0.01)
	})
}

// The owner leaves, or stops its timer, right before, after or between runs: nobody sees that from the runs.
func TestTheOwnerLeaves(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{0, 50, 95, 99} {
		for _, way := range []string{"leaves", "stops"} {
			t.Run(fmt.Sprintf("%s after %d ms", way, after), func(t *testing.T) {
				inTimed(t, 5, 100*time.Millisecond, func(c *timed) {
					owner := c.owner(c.nodes)
					c.next(time.Second)
					time.Sleep(after * time.Millisecond)
					from := c.runs.count() - 1
					if way == "leaves" {
						require.NoError(c.t, owner.Leave(context.Background()))
					} else {
						c.timers[owner].Stop()
					}
					time.Sleep(2 * time.Second)
					c.requireSteady(from, 50*time.Millisecond)
					require.NotEqual(c.t, owner, c.owner(c.others(owner)))
				})
			})
		}
	}
}

// [TMR-3] Turn from a node that does not have the timer is ignored, and one for a timer that nobody has is not found. A
// process cannot move its own timer either.
func TestForeignTurns(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		var runs runLog
		n, stranger := c.start(0), c.start(1, 0)
		timer := c.every(n, time.Second, runs.of(0), OneOwner("report"), Jitter(0))
		require.NoError(c.t, stranger.WaitFor(context.Background(), timer.service(), 1))
		time.Sleep(time.Second + time.Millisecond)
		start := time.Now()
		for range 100 {
			for _, from := range []*Node{n, stranger} {
				require.NoError(c.t, from.Caller(timer.service()).Send(context.Background(), int64(0), true))
				require.NoError(c.t, from.Caller(timer.service()).Send(context.Background(), int64(-1)<<62, false))
			}
			time.Sleep(100 * time.Millisecond)
		}
		require.InDelta(c.t, time.Since(start).Seconds(), runs.count()-1, 1)
		_, err := stranger.Caller(timerPrefix + "nobody's").Call(context.Background())
		requireError(c.t, err, NotFound, No)
		require.ErrorIs(c.t, n.Unregister(timer.service()), ErrNotFound)
		timer.Stop()
		c.until(time.Second, "the row is gone", func() bool { return stranger.calling.view.Load().routes.get(timer.service()) == nil })
	})
}

// [TMR-4] A node that starts anew waits with the timer until it has joined.
func TestATimerWaitsForJoining(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		var runs runLog
		n := c.start(1, 0) // the seed is down
		start := time.Now()
		c.every(n, 10*time.Millisecond, runs.of(1), OneOwner("report"), Jitter(0))
		time.Sleep(1995 * time.Millisecond)
		require.Equal(c.t, time.Second, runs.times()[0].Sub(start))
		require.Equal(c.t, 100, runs.count())
	})
}
