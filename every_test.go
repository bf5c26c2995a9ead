package broach

import (
	"slices"
	"sync"
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
