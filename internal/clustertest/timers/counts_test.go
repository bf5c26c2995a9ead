package timers

import (
	"errors"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// Runs of timers are counted by the names that OneOwner gives, and of all others together.
func TestRunsOfTimersAreCounted(t *testing.T) {
	inNode(t, func(c *clustertest.Cluster, n *broach.Node) {
		named := func(name string) []broach.TimerOption {
			return []broach.TimerOption{broach.OneOwner(name), broach.Jitter(0)}
		}
		every(c, n, time.Second, func() { time.Sleep(20 * time.Millisecond) }, named("report")...)
		every(c, n, time.Second, func() error { return broach.Errorf(broach.Unavailable, "no") }, named("fails")...)
		every(c, n, time.Second, func() { panic("no luck") }, named("panics")...)
		every(c, n, time.Second, func() {}, broach.Jitter(0))
		stopped := every(c, n, time.Second, func() error { return errors.New("no luck") }, broach.Jitter(0))
		time.Sleep(3*time.Second + 10*time.Millisecond)
		require.Equal(t, "2: 1 running", clustertest.Counts(t, n.Stats().Timers, "report"))
		stopped.Stop()
		time.Sleep(time.Second)
		for name, want := range map[string]string{
			"report": "3: 1 running", "fails": "4: 4 Unavailable", "panics": "4: 4 Internal", "": "7: 3 Application",
		} {
			require.Equal(t, want, clustertest.Counts(t, n.Stats().Timers, name), name)
		}
		report := clustertest.CountsOf(n.Stats().Timers, "report")
		require.Equal(t, 60*time.Millisecond, report.Latency.Sum)
		require.Equal(t, map[string]uint64{"50µs": 4}, clustertest.Classes(report.Waiting))
		require.Empty(t, n.Stats().Served)
	})
}

// A run for which there is no worker is counted, and one that waited for it has waited.
func TestRunsWithoutAWorkerAreCounted(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.Edit = func(cfg *broach.Config) {
			cfg.Pool = broach.Pool{Core: 1, Max: 1, Queue: 1, RejectWhenFull: true}
		}
		n := c.Start(0)
		require.NoError(t, n.Register("slow", func() { time.Sleep(1500 * time.Millisecond) }))
		time.Sleep(700 * time.Millisecond)
		for _, name := range []string{"first", "second"} {
			every(c, n, time.Second, func() {}, broach.OneOwner(name), broach.Jitter(0))
			time.Sleep(time.Millisecond)
		}
		time.Sleep(500 * time.Millisecond)
		require.NoError(t, n.Caller("slow").Send(c.T.Context()))
		time.Sleep(1600 * time.Millisecond)
		s := n.Stats()
		require.Equal(t, "2: 2 Overloaded", clustertest.Counts(t, s.Timers, "second"))
		require.Equal(t, "1", clustertest.Counts(t, s.Timers, "first"), "the second is left out while the first waits")
		waited := clustertest.CountsOf(s.Timers, "first").Waiting.Sum
		require.Equal(t, time.Second+2*time.Millisecond, waited.Round(time.Millisecond))
	})
}
