package broach

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Stop ends the context of a run that has begun, and none begins any more, not even one that waits for a worker.
func TestStopATimer(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		c.edit = func(cfg *Config) { cfg.Pool = Pool{Core: 1, Max: 1, Queue: 8, GrowAt: 8, RejectWhenFull: true} }
		n := c.start(0)
		var waiting runLog
		ended := make(chan error, 1)
		long := c.every(n, time.Second, func(ctx context.Context) error {
			<-ctx.Done()
			ended <- ctx.Err()
			return ctx.Err()
		}, Jitter(0))
		short := c.every(n, 1500*time.Millisecond, waiting.of(0), Jitter(0))
		time.Sleep(2 * time.Second)
		require.Equal(c.t, 1, n.serving.pool.Stats().Queued)
		short.Stop()
		long.Stop()
		long.Stop()
		require.ErrorIs(c.t, <-ended, context.Canceled)
		require.False(c.t, long.IsOwner())
		time.Sleep(10 * time.Second)
		require.Zero(c.t, waiting.count())
		require.Empty(c.t, n.serving.timetable.timers)
	})
}

// A node has at most 10,000 timers.
func TestTimersAreLimited(t *testing.T) {
	inNode(t, func(c *cluster, n *Node) {
		var last *Timer
		for range timersMax {
			last = c.every(n, time.Hour, func() {})
		}
		_, err := n.Every(time.Hour, func() {})
		requireError(c.t, err, TooLarge, Maybe)
		last.Stop()
		c.every(n, time.Hour, func() {})
	})
}
