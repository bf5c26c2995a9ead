package trace

import (
	"context"
	"iter"
	"testing"
	"time"

	"broach"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"
)

// offerFeed has a node stream numbers, a second apart, each of which it asks another node for.
func (c *traced) offerFeed(n *broach.Node) {
	c.register(c.till, "next", func(i int) int { return i + 1 })
	c.register(n, "feed", func(ctx context.Context, most int) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			for i := 0; i < most; {
				var err error
				i, err = broach.Call[int](ctx, n.Caller("next"), i)
				if !yield(i, err) || err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}
	})
}

// A call that streams is one span at each end, as long as its stream; what the function calls meanwhile is below.
func TestAStream(t *testing.T) {
	inTraced(t, func(t *testing.T, c *traced) {
		c.offerFeed(c.shop)
		got := 0
		for i, err := range broach.Stream[int](t.Context(), c.shed.Caller("feed"), 2) {
			require.NoError(t, err)
			got = i
		}
		require.Equal(t, 2, got)
		time.Sleep(time.Second)
		for _, s := range c.spans.GetSpans() {
			if s.Name == "feed" {
				require.Equal(t, "streaming", attrOf(s.Attributes, attrForm))
				require.InDelta(t, 2*time.Second, s.EndTime.Sub(s.StartTime), float64(100*time.Millisecond))
			}
		}
		require.Equal(t, []string{
			"client feed, attempt 1 ok", "  server feed",
			"    client next, attempt 1 ok", "      server next",
			"    client next, attempt 1 ok", "      server next",
		}, c.took())
	})
}

// A stream that is broken off, by its caller or by its end, leaves no span open.
func TestAStreamThatIsBrokenOff(t *testing.T) {
	for name, breakOff := range map[string]func(c *traced) error{
		"by the loop":     nil,
		"by the caller":   func(c *traced) error { return c.shed.Close() },
		"by the provider": func(c *traced) error { return c.shop.Close() },
		"by death":        func(c *traced) error { c.Kill(c.shop); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			inTraced(t, func(t *testing.T, c *traced) {
				c.offerFeed(c.shop)
				for i := range broach.Stream[int](t.Context(), c.shed.Caller("feed"), 100) {
					if breakOff == nil {
						break
					}
					if i == 1 {
						go func() { _ = breakOff(c) }()
					}
				}
				time.Sleep(10 * time.Second)
				kinds := map[trace.SpanKind]int{}
				for _, s := range c.spans.GetSpans() {
					if s.Name == "feed" {
						kinds[s.SpanKind]++
					}
				}
				require.Equal(t, map[trace.SpanKind]int{trace.SpanKindClient: 1, trace.SpanKindServer: 1}, kinds)
			})
		})
	}
}
