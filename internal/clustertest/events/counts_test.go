package events

import (
	"context"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// Events are counted where they are handled, for each subscription, by topic and apart from calls.
func TestEventsAreCounted(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		publisher, n := c.Start(0), c.Start(1, 0)
		for _, fn := range []any{
			func(int) { time.Sleep(20 * time.Millisecond) },
			func(i int) error { return map[bool]error{i == 1: broach.Errorf(broach.Internal, "no")}[true] },
			func(i int) {
				if i == 2 {
					panic("no luck")
				}
			},
		} {
			_, err := n.Subscribe("sold", fn, broach.EachInstance())
			require.NoError(t, err)
		}
		heard()
		for i := range 3 {
			_, err := publisher.Publish(c.T.Context(), "sold", i)
			require.NoError(t, err)
		}
		_, err := n.Publish(c.T.Context(), "sold", 3)
		require.NoError(t, err)
		handled(time.Millisecond)
		require.Equal(t, "8: 2 Internal, 1 running", clustertest.Counts(t, n.Stats().Topics, "sold"),
			"one of the slow subscription runs, three wait")
		handled(time.Second)
		require.Equal(t, "12: 2 Internal", clustertest.Counts(t, n.Stats().Topics, "sold"))
		at := clustertest.CountsOf(n.Stats().Topics, "sold")
		require.InDelta(t, (20+40+60+80)*time.Millisecond, at.Latency.Sum, float64(5*time.Millisecond))
		require.InDelta(t, (20+40+60)*time.Millisecond, at.Waiting.Sum, float64(5*time.Millisecond))
		for _, s := range []broach.Stats{n.Stats(), publisher.Stats()} {
			require.Empty(t, s.Called)
			require.Empty(t, s.Served)
			require.Empty(t, s.Timers)
		}
		require.Empty(t, publisher.Stats().Topics)
	})
}

// Events for which a backlog has no room are counted, too; of those of one publisher, where they ended up.
func TestEventsWithoutRoomAreCounted(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		publisher, n := c.Start(0), c.Start(1, 0)
		sub, err := n.Subscribe("sold", func(ctx context.Context, _ int) { <-ctx.Done() }, broach.Backlog(2))
		require.NoError(t, err)
		heard()
		for range 5 {
			_, _ = publisher.Publish(c.T.Context(), "sold", 7)
			time.Sleep(10 * time.Millisecond)
		}
		require.Equal(t, "2: 2 Overloaded, 1 running", clustertest.Counts(t, n.Stats().Topics, "sold"))
		require.NoError(t, sub.Close())
		_, err = n.Subscribe("sold", func(int) {}) // again, under the same name
		require.NoError(t, err)
		heard()
		_, err = publisher.Publish(c.T.Context(), "sold", 7)
		require.NoError(t, err)
		handled(time.Second)
		require.Equal(t, "3: 2 Overloaded, 1 running", clustertest.Counts(t, n.Stats().Topics, "sold"))
	})
}
