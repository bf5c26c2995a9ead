package members

import (
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// A function that always panics cannot fill the log, and what it was called with is not in there.
func TestPanicsAreLoggedInMeasure(t *testing.T) {
	var log clustertest.SharedLog
	clustertest.InPair(t, map[string]any{"panics": func(secret string) { panic("oops") }}, func(
		c *clustertest.Cluster, provider, caller *broach.Node,
	) {
		var all sync.WaitGroup
		for range 50 { // at once, before its breaker opens
			all.Go(func() {
				_, err := caller.Caller("panics").Call(c.T.Context(), "Sesame")
				clustertest.RequireError(c.T, err, broach.Internal, broach.Yes)
			})
		}
		all.Wait()
		time.Sleep(5*time.Second + time.Second)
		_, err := caller.Caller("panics").Call(c.T.Context(), "Sesame")
		clustertest.RequireError(c.T, err, broach.Internal, broach.Yes)
		provider.Close() // nobody writes any more
		require.Equal(c.T, 6, strings.Count(log.String(), "function panicked\" service=panics"), log.String())
		require.Contains(c.T, log.String(), "suppressed=45")
		require.NotContains(c.T, log.String(), "Sesame")
	}, func(cfg *broach.Config) {
		if cfg.RandSeed == 1 { // the provider
			cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
		}
	})
}

// A cut of the network, or of a whole rack, does not fill the log: what is held back is counted.
func TestMembersAreLoggedInMeasure(t *testing.T) {
	const others = 3 * 20 // of 20 lines in a second
	var log clustertest.SharedLog
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.StartAll(others)
		c.Settle(10 * time.Second)
		c.Edit = func(cfg *broach.Config) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) }
		told := c.Start(others, 0)
		c.Settle(10 * time.Second)
		time.Sleep(time.Second)
		c.Kill(c.Nodes[1])
		c.Until(5*time.Second, "it is gone",
			func() bool { return clustertest.MemberAt(told, clustertest.AddrOf(1)).State == broach.Offline })
		require.NoError(t, told.Close()) // nobody writes any more
		lines := strings.Count(log.String(), "member up") + sumOf(t, log.String(), "suppressed=")
		require.Equal(t, others, lines, "the lines of those who are up, and the number of those that are not there")
		require.Less(t, strings.Count(log.String(), "member up"), others)
		require.Contains(t, log.String(), "member offline")
	})
}

// sumOf adds up the numbers that follow a key in a log.
func sumOf(t *testing.T, log, key string) (sum int) {
	for _, part := range strings.Split(log, key)[1:] {
		n, err := strconv.Atoi(strings.Fields(part)[0])
		require.NoError(t, err)
		sum += n
	}
	return sum
}
