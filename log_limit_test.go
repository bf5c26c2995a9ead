package broach

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFewLinesASecondAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l logLimit
		burst := func(n int) (logged, suppressed int) {
			for range n {
				s, ok := l.allow(time.Now())
				if suppressed += s; ok {
					logged++
				}
			}
			return logged, suppressed
		}
		logged, suppressed := burst(100)
		require.Equal(t, logBurst, logged)
		require.Zero(t, suppressed)

		time.Sleep(logEvery - 1)
		logged, _ = burst(100)
		require.Zero(t, logged, "the second is not over")

		time.Sleep(time.Nanosecond)
		logged, suppressed = burst(1)
		require.Equal(t, 1, logged)
		require.Equal(t, 200-logBurst, suppressed, "the first line says how many there were before it")
		_, suppressed = burst(1)
		require.Zero(t, suppressed)
	})
}

// A function that always panics cannot fill the log, and what it was called with is not in there.
func TestPanicsAreLoggedInMeasure(t *testing.T) {
	var log bytes.Buffer
	inPair(t, map[string]any{"panics": func(secret string) { panic("oops") }}, func(c *cluster, provider, caller *Node) {
		var all sync.WaitGroup
		for range 50 { // at once, before its breaker opens
			all.Go(func() {
				_, err := caller.Caller("panics").Call(c.t.Context(), "Sesame")
				requireError(c.t, err, Internal, Yes)
			})
		}
		all.Wait()
		time.Sleep(breakerPause + time.Second)
		_, err := caller.Caller("panics").Call(c.t.Context(), "Sesame")
		requireError(c.t, err, Internal, Yes)
		provider.Close() // nobody writes any more
		require.Equal(c.t, logBurst+1, strings.Count(log.String(), "function panicked\" service=panics"), log.String())
		require.Contains(c.t, log.String(), "suppressed=45")
		require.NotContains(c.t, log.String(), "Sesame")
	}, func(cfg *Config) {
		if cfg.RandSeed == 1 { // the provider
			cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
		}
	})
}
