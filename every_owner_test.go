package broach

import (
	"context"
	"encoding/hex"
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

// next waits for the next run, and returns when it began and where.
func (c *timed) next(limit time.Duration) (time.Time, int) {
	c.t.Helper()
	before := c.runs.count()
	c.until(limit, "a run", func() bool { return c.runs.count() > before })
	return c.runs.times()[before], c.runs.nodes()[before]
}

// The arguments of Turn are those of PROTOCOL.md 5.2.
func TestTurnArguments(t *testing.T) {
	args := codec.Arguments{List: []any{int64(1000), true}}
	b, err := args.Append(nil, maxMessageMost)
	require.NoError(t, err)
	require.Equal(t, "92cd03e8c3", hex.EncodeToString(b))
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
