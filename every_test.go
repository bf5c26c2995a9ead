package broach

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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
func inNode(t *testing.T, test func(c *cluster, n *Node)) {
	inCluster(t, 1, func(c *cluster) { test(c, c.start(0)) })
}

// every starts a timer.
func (c *cluster) every(n *Node, d time.Duration, fn any, opts ...TimerOption) *Timer {
	c.t.Helper()
	timer, err := n.Every(d, fn, opts...)
	require.NoError(c.t, err)
	return timer
}

// Without jitter the k-th of 1,000 runs begins k periods after the start, to the nanosecond.
func TestEveryDoesNotDrift(t *testing.T) {
	inNode(t, func(c *cluster, n *Node) {
		var runs runLog
		start := time.Now()
		timer := c.every(n, 100*time.Millisecond, runs.of(0), Jitter(0))
		require.True(c.t, timer.IsOwner())
		time.Sleep(100*time.Second + 50*time.Millisecond)
		require.Equal(c.t, 1000, runs.count())
		for k, at := range runs.times() {
			require.Equal(c.t, time.Duration(k+1)*100*time.Millisecond, at.Sub(start), "run %d", k+1)
		}
	})
}

// Each run is late by less than the jitter, by another time in each instance, and the grid stays.
func TestEveryJitter(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		const d = time.Second
		logs := make([]runLog, 10)
		start := time.Now()
		for i := range logs {
			c.every(c.start(i), d, logs[i].of(i), Jitter(400*time.Millisecond))
		}
		time.Sleep(100*d + 500*time.Millisecond)
		first := map[time.Duration]bool{}
		var sum, most time.Duration
		for i := range logs {
			require.Equal(c.t, 100, logs[i].count())
			for k, at := range logs[i].times() {
				late := at.Sub(start) - time.Duration(k+1)*d
				require.GreaterOrEqual(c.t, late, time.Duration(0))
				require.Less(c.t, late, 400*time.Millisecond)
				sum, most = sum+late, max(most, late)
			}
			first[logs[i].times()[0].Sub(start)] = true
		}
		c.t.Logf("late by %v on average, %v at most", sum/1000, most)
		require.Len(c.t, first, 10)
		require.InDelta(c.t, 200, (sum / 1000).Milliseconds(), 20)
	})
}

// Unless told, the jitter is a twentieth of the period; the largest is the whole period, and no run is lost by it.
func TestEveryJitterLimits(t *testing.T) {
	inNode(t, func(c *cluster, n *Node) {
		var usual, largest runLog
		start := time.Now()
		c.every(n, time.Second, usual.of(0))
		c.every(n, time.Second, largest.of(0), Jitter(time.Second))
		time.Sleep(1002 * time.Second)
		for k, at := range usual.times() {
			require.Less(c.t, at.Sub(start)-time.Duration(k+1)*time.Second, 50*time.Millisecond)
		}
		require.GreaterOrEqual(c.t, largest.count(), 1000)
	})
}

// A run that would begin while the one before goes on is left out, and not made up for.
func TestEveryDoesNotOverlap(t *testing.T) {
	inNode(t, func(c *cluster, n *Node) {
		var runs runLog
		var now, most atomic.Int64
		start := time.Now()
		timer := c.every(n, 100*time.Millisecond, func() {
			runs.add(0)
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(250 * time.Millisecond)
			now.Add(-1)
		}, Jitter(0))
		time.Sleep(30*time.Second + 50*time.Millisecond)
		timer.Stop()
		require.EqualValues(c.t, 1, most.Load())
		require.Equal(c.t, 100, runs.count())
		for k, at := range runs.times() {
			require.Equal(c.t, time.Duration(3*k+1)*100*time.Millisecond, at.Sub(start))
		}
		time.Sleep(time.Second)
	})
}

// A process that was stopped for ten periods and a half makes one run when it goes on, and the next on its grid.
func TestEveryAfterAStall(t *testing.T) {
	inNode(t, func(c *cluster, n *Node) {
		var runs runLog
		start := time.Now()
		timer := c.every(n, time.Second, runs.of(0), Jitter(0))
		time.Sleep(2500 * time.Millisecond)
		timer.mu.Lock()
		timer.clock.Reset(10 * time.Second) // no clock calls while a process is stopped
		timer.mu.Unlock()
		time.Sleep(13 * time.Second)
		var at []time.Duration
		for _, a := range runs.times() {
			at = append(at, a.Sub(start).Round(100*time.Millisecond))
		}
		s := time.Second
		require.Equal(c.t, []time.Duration{s, 2 * s, 12*s + s/2, 14 * s, 15 * s}, at)
	})
}

// A pool that has no room leaves runs out; the timer goes on.
func TestEveryWithoutRoom(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		c.edit = func(cfg *Config) { cfg.Pool = Pool{Core: 1, Max: 1, Queue: 1, GrowAt: 1, RejectWhenFull: true} }
		n := c.start(0)
		var runs runLog
		start := time.Now()
		c.every(n, time.Second, runs.of(0), Jitter(0))
		require.NoError(c.t, n.Register("slow", func() { time.Sleep(4400 * time.Millisecond) }))
		var calls sync.WaitGroup
		for range 2 {
			calls.Go(func() { _, _ = n.Caller("slow").Call(context.Background()) })
			time.Sleep(time.Millisecond)
		}
		time.Sleep(4 * time.Second)
		require.Zero(c.t, runs.count(), "the worker and the queue are taken")
		calls.Wait()
		time.Sleep(20*time.Second + 500*time.Millisecond - time.Since(start))
		require.Equal(c.t, 13, runs.count(), "that of 5 s, which found the queue free, at 8.8 s, then one a second")
	})
}
