package timers

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// runLog is when runs began, and where.
type runLog struct {
	mu   sync.Mutex
	at   []time.Time
	node []int
}

// add notes a run of a node. It is what the timers of these tests do.
func (l *runLog) add(node int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at, l.node = append(l.at, time.Now()), append(l.node, node)
}

// of is a function that notes a run of a node.
func (l *runLog) of(node int) func() { return func() { l.add(node) } }

// count is how many runs there were.
func (l *runLog) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.at)
}

// times are those of the runs.
func (l *runLog) times() []time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.at)
}

// nodes are where the runs were.
func (l *runLog) nodes() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.node)
}

// gaps are the shortest and the longest time between two runs from one on.
func (l *runLog) gaps(from int) (shortest, longest time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	shortest = time.Hour
	for i := from + 1; i < len(l.at); i++ {
		gap := l.at[i].Sub(l.at[i-1])
		shortest, longest = min(shortest, gap), max(longest, gap)
	}
	return shortest, longest
}

// closerThan is how many runs from one on began sooner than that after the one before.
func (l *runLog) closerThan(from int, least time.Duration) (k int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := from + 1; i < len(l.at); i++ {
		if l.at[i].Sub(l.at[i-1]) < least {
			k++
		}
	}
	return k
}

// inNode runs a test on one node alone, in virtual time.
func inNode(t *testing.T, test func(c *clustertest.Cluster, n *broach.Node)) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) { test(c, c.Start(0)) })
}

// every starts a timer.
func every(c *clustertest.Cluster, n *broach.Node, d time.Duration, fn any, opts ...broach.TimerOption) *broach.Timer {
	c.T.Helper()
	timer, err := n.Every(d, fn, opts...)
	require.NoError(c.T, err)
	return timer
}

// Without jitter the k-th of 1,000 runs begins k periods after the start, to the nanosecond.
func TestEveryDoesNotDrift(t *testing.T) {
	inNode(t, func(c *clustertest.Cluster, n *broach.Node) {
		var runs runLog
		start := time.Now()
		timer := every(c, n, 100*time.Millisecond, runs.of(0), broach.Jitter(0))
		require.True(c.T, timer.IsOwner())
		time.Sleep(100*time.Second + 50*time.Millisecond)
		require.Equal(c.T, 1000, runs.count())
		for k, at := range runs.times() {
			require.Equal(c.T, time.Duration(k+1)*100*time.Millisecond, at.Sub(start), "run %d", k+1)
		}
	})
}

// Each run is late by less than the jitter, by another time in each instance, and the grid stays.
func TestEveryJitter(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		const d = time.Second
		logs := make([]runLog, 10)
		start := time.Now()
		for i := range logs {
			every(c, c.Start(i), d, logs[i].of(i), broach.Jitter(400*time.Millisecond))
		}
		time.Sleep(100*d + 500*time.Millisecond)
		first := map[time.Duration]bool{}
		var sum, most time.Duration
		for i := range logs {
			require.Equal(c.T, 100, logs[i].count())
			for k, at := range logs[i].times() {
				late := at.Sub(start) - time.Duration(k+1)*d
				require.GreaterOrEqual(c.T, late, time.Duration(0))
				require.Less(c.T, late, 400*time.Millisecond)
				sum, most = sum+late, max(most, late)
			}
			first[logs[i].times()[0].Sub(start)] = true
		}
		c.T.Logf("late by %v on average, %v at most", sum/1000, most)
		require.Len(c.T, first, 10)
		require.InDelta(c.T, 200, (sum / 1000).Milliseconds(), 20)
	})
}

// Unless told, the jitter is a twentieth of the period; the largest is the whole period, and no run is lost by it.
func TestEveryJitterLimits(t *testing.T) {
	inNode(t, func(c *clustertest.Cluster, n *broach.Node) {
		var usual, largest runLog
		start := time.Now()
		every(c, n, time.Second, usual.of(0))
		every(c, n, time.Second, largest.of(0), broach.Jitter(time.Second))
		time.Sleep(1002 * time.Second)
		for k, at := range usual.times() {
			require.Less(c.T, at.Sub(start)-time.Duration(k+1)*time.Second, 50*time.Millisecond)
		}
		require.GreaterOrEqual(c.T, largest.count(), 1000)
	})
}

// A run that would begin while the one before goes on is left out, and not made up for.
func TestEveryDoesNotOverlap(t *testing.T) {
	inNode(t, func(c *clustertest.Cluster, n *broach.Node) {
		var runs runLog
		var now, most atomic.Int64
		start := time.Now()
		timer := every(c, n, 100*time.Millisecond, func() {
			runs.add(0)
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(250 * time.Millisecond)
			now.Add(-1)
		}, broach.Jitter(0))
		time.Sleep(30*time.Second + 50*time.Millisecond)
		timer.Stop()
		require.EqualValues(c.T, 1, most.Load())
		require.Equal(c.T, 100, runs.count())
		for k, at := range runs.times() {
			require.Equal(c.T, time.Duration(3*k+1)*100*time.Millisecond, at.Sub(start))
		}
		time.Sleep(time.Second)
	})
}

// A pool that has no room leaves runs out; the timer goes on.
func TestEveryWithoutRoom(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.Edit = func(cfg *broach.Config) {
			cfg.Pool = broach.Pool{Core: 1, Max: 1, Queue: 1, GrowAt: 1, RejectWhenFull: true}
		}
		n := c.Start(0)
		var runs runLog
		start := time.Now()
		every(c, n, time.Second, runs.of(0), broach.Jitter(0))
		require.NoError(c.T, n.Register("slow", func() { time.Sleep(4400 * time.Millisecond) }))
		var calls sync.WaitGroup
		for range 2 {
			calls.Go(func() { _, _ = n.Caller("slow").Call(context.Background()) })
			time.Sleep(time.Millisecond)
		}
		time.Sleep(4 * time.Second)
		require.Zero(c.T, runs.count(), "the worker and the queue are taken")
		calls.Wait()
		time.Sleep(20*time.Second + 500*time.Millisecond - time.Since(start))
		require.Equal(c.T, 13, runs.count(), "that of 5 s, which found the queue free, at 8.8 s, then one a second")
	})
}
