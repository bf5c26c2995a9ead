package broach

import (
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A function that always panics cannot fill the log, and what it was called with is not in there.
func TestPanicsAreLoggedInMeasure(t *testing.T) {
	var log sharedLog
	inPair(t, map[string]any{"panics": func(secret string) { panic("oops") }}, func(c *cluster, provider, caller *Node) {
		var all sync.WaitGroup
		for range 50 { // at once, before its breaker opens
			all.Go(func() {
				_, err := caller.Caller("panics").Call(c.t.Context(), "Sesame")
				requireError(c.t, err, Internal, Yes)
			})
		}
		all.Wait()
		time.Sleep(5*time.Second + time.Second)
		_, err := caller.Caller("panics").Call(c.t.Context(), "Sesame")
		requireError(c.t, err, Internal, Yes)
		provider.Close() // nobody writes any more
		require.Equal(c.t, 6, strings.Count(log.String(), "function panicked\" service=panics"), log.String())
		require.Contains(c.t, log.String(), "suppressed=45")
		require.NotContains(c.t, log.String(), "Sesame")
	}, func(cfg *Config) {
		if cfg.RandSeed == 1 { // the provider
			cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
		}
	})
}

// A cut of the network, or of a whole rack, does not fill the log: what is held back is counted.
func TestMembersAreLoggedInMeasure(t *testing.T) {
	const others = 3 * memberBurst
	var log sharedLog
	inCluster(t, 1, func(c *cluster) {
		c.startAll(others)
		c.settle(10 * time.Second)
		c.edit = func(cfg *Config) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) }
		told := c.start(others, 0)
		c.settle(10 * time.Second)
		time.Sleep(time.Second)
		c.kill(c.nodes[1])
		c.until(5*time.Second, "it is gone", func() bool { return memberAt(told, addrOf(1)).State == Offline })
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
