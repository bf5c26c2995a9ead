package broachtest_test

import (
	"testing"
	"time"

	"broach"
	"broach/broachtest"

	"github.com/stretchr/testify/require"
)

// An option that panics leaves nothing behind by which the next would join.
func TestAnOptionThatPanicsLeavesNothingBehind(t *testing.T) {
	inBubble(t, func(t *testing.T, c *broachtest.Cluster) {
		require.Panics(t, func() { c.Start("x", func(*broach.Config) { panic("no") }) })
		c.Start("a")
		c.Start("b")
		c.Settle()
	})
}

// "So a pause that lasts for an hour is bad use: it fails the test, and ends."
func TestAPauseThatNobodyEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *broachtest.Cluster) {
		f := newFake(t)
		c := broachtest.New(f)
		a, b := c.Start("a"), c.Start("b")
		c.Settle()
		c.Pause(a)
		time.Sleep(59 * time.Minute)
		c.Resume(a)
		c.Pause(a)
		time.Sleep(59 * time.Minute)
		require.Empty(t, f.told(), "of each pause")
		start := time.Now()
		got := f.failureOf(func() { a.Close() })
		require.Equal(t, "broachtest: a (10.0.0.1:7000) has been paused for 1h0m0s: Resume or Kill it before something"+
			" waits for it", got)
		require.Equal(t, time.Minute, time.Since(start).Round(time.Second))
		c.Pause(b)
		f.end()
		time.Sleep(2 * time.Hour)
		require.Len(t, f.told(), 1, "what has ended is not told of")
	})
}

// "rather by one that is not paused"
func TestAPausedNodeIsASeedIfThereIsNoOther(t *testing.T) {
	inBubble(t, func(t *testing.T, c *broachtest.Cluster) {
		a := c.Start("a")
		c.Pause(a)
		c.Start("b")
		c.Resume(a)
		c.Settle()
		c.Pause(a)
		c.Start("c", func(cfg *broach.Config) { require.Equal(t, []string{"10.0.0.2:7000"}, cfg.Join) })
		c.Resume(a)
		c.Settle()
	})
}
