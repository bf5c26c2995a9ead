package tally

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// "a class has what is not longer than its bound"
func TestABoundBelongsToItsClass(t *testing.T) {
	for i, bound := range Bounds {
		require.Equal(t, i, classOf(bound), "%v", bound)
		require.Equal(t, i+1, classOf(bound+1), "a nanosecond more than %v", bound)
		require.True(t, i == 0 || bound > Bounds[i-1], "%v: they rise", bound)
	}
	require.Equal(t, 0, classOf(0))
	require.Equal(t, 20, classOf(math.MaxInt64))
}

// From 5 ms on they are the 14 that OpenTelemetry advises for RPC; six below are for calls that take 0.1 ms.
func TestTheBounds(t *testing.T) {
	require.Equal(t, "[50µs 100µs 250µs 500µs 1ms 2.5ms 5ms 10ms 25ms 50ms 75ms 100ms 250ms 500ms 750ms"+
		" 1s 2.5s 5s 7.5s 10s]", fmt.Sprint(Bounds))
}

func TestEachTimeIsInOneClassAndInTheSum(t *testing.T) {
	var h striped
	for _, d := range []time.Duration{0, 50 * time.Microsecond, 50*time.Microsecond + 1, time.Hour, -time.Second} {
		h.add(0, d)
	}
	got := h.snapshot()
	require.Equal(t, Histogram{Counts: [21]uint64{0: 3, 1: 1, 20: 1}, Sum: time.Hour + 100*time.Microsecond + 1}, got)
	require.EqualValues(t, 5, got.total())
}

// A name that is called often gets a stripe for each processor; others have the memory of one.
func TestOnlyNamesThatAreCalledOftenHaveStripes(t *testing.T) {
	withStripes(t, 16)
	for name, begin := range map[string]func(c *Cell, now time.Duration){
		"made":   func(c *Cell, now time.Duration) { c.Begin(now) },
		"served": func(c *Cell, now time.Duration) { c.Serve(now, 0) },
	} {
		c := newCell(name == "served")
		for i := range time.Duration(stripesFrom - 1) {
			begin(c, i)
			c.End(i, 0, 0)
		}
		require.Nil(t, c.took.more.Load(), name)
		begin(c, 0)
		require.Len(t, *c.took.more.Load(), 16, name)
		before := c.took.first.sum.Load()
		c.End(0, time.Hour, 0)
		require.Equal(t, before, c.took.first.sum.Load(), "%s: it is not added to any more", name)
		s := c.Snapshot()
		require.EqualValues(t, stripesFrom, s.Calls, name)
		require.Equal(t, time.Hour, s.Latency.Sum, name)
		require.Zero(t, s.Running, name)
		if name == "served" {
			require.Len(t, *c.waited.more.Load(), 16)
			require.EqualValues(t, stripesFrom, s.Waiting.total())
		}
	}
}

// Clocks tick in steps of 100 ns and others: the calls of any of them use all stripes about equally.
func TestStripesAreUsedAlike(t *testing.T) {
	withStripes(t, 16)
	for _, tick := range []time.Duration{1, 41, 100, 256, 1000, 15_625} {
		h := new(striped)
		h.widen()
		for i := range time.Duration(16_000) {
			h.add(i*tick, 0)
		}
		for i := range *h.more.Load() {
			require.InDelta(t, 1000, (*h.more.Load())[i].counts[0].Load(), 300, "tick %v, stripe %d", tick, i)
		}
	}
}

func TestStripesForProcessors(t *testing.T) {
	for processors, want := range map[int]int{1: 1, 2: 2, 3: 4, 8: 8, 9: 16, 16: 16, 17: 16, 256: 16} {
		require.Equal(t, want, stripesFor(processors), "%d processors", processors)
	}
}

// A stripe shares no cache line with another.
func TestStripesArePadded(t *testing.T) {
	require.Zero(t, stripeSize%64)
}
