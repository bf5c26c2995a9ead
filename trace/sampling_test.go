package trace

import (
	"context"
	"strings"
	"testing"
	"time"

	"broach"

	"github.com/stretchr/testify/require"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

func inUnsampled(t *testing.T, test func(t *testing.T, c *traced), opts ...Option) {
	inSampled(t, sdk.ParentBased(sdk.NeverSample()), test, opts...)
}

// only samples traces that begin at one name.
type only struct{ name string }

func (o only) Description() string { return "only " + o.name }

func (o only) ShouldSample(p sdk.SamplingParameters) sdk.SamplingResult {
	if p.Name == o.name {
		return sdk.AlwaysSample().ShouldSample(p)
	}
	return sdk.NeverSample().ShouldSample(p)
}

// A call that is not sampled carries nothing, and no function below begins a trace, which its sampler would let it.
func TestWhatIsNotSampledBeginsNothingBelow(t *testing.T) {
	for name, c := range map[string]struct {
		opts []Option
		want []string
	}{
		"by default": {nil, nil},
		"Roots":      {[]Option{Roots()}, []string{"server stock"}},
	} {
		t.Run(name, func(t *testing.T) {
			inSampled(t, sdk.ParentBased(only{"stock"}), func(t *testing.T, in *traced) {
				in.offerOrder()
				_, err := in.till.Caller("order").Call(t.Context(), "milk")
				require.NoError(t, err)
				require.Equal(t, c.want, in.took())
				_, err = in.till.Caller("stock").Call(t.Context(), "milk")
				require.NoError(t, err)
				require.Equal(t, []string{"client stock, attempt 1 ok", "  server stock"}, in.took())
			}, c.opts...)
		})
	}
}

// Where callers do not trace, functions begin traces if they are told to.
func TestCallersThatDoNotTrace(t *testing.T) {
	for name, c := range map[string]struct {
		opts []Option
		want []string
	}{
		"by default": {nil, nil},
		"Roots": {[]Option{Roots()}, []string{
			"server order", "  client stock, attempt 1 ok", "    server stock"}},
	} {
		t.Run(name, func(t *testing.T) {
			inTraced(t, func(t *testing.T, in *traced) {
				in.offerOrder()
				plain := in.Start("plain")
				in.Settle()
				_, err := plain.Caller("order").Call(t.Context(), "milk")
				require.NoError(t, err)
				require.Equal(t, c.want, in.took())
			}, c.opts...)
		})
	}
}

// A traceparent that cannot be read begins a trace anew, as W3C says; one that says that it is not sampled is obeyed.
func TestWhatATraceparentSays(t *testing.T) {
	begins := []string{"server order", "  client stock, attempt 1 ok", "    server stock"}
	for parent, want := range map[string][]string{
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01": {"an orphan of b7ad6b7169203331", "  " + begins[0],
			"  " + begins[1], "  " + begins[2]},
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00": nil,
		"00-00000000000000000000000000000000-b7ad6b7169203331-01": begins,
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b71692033":      begins,
		"what a stranger says": begins,
		"":                     nil,
	} {
		t.Run(parent, func(t *testing.T) {
			inTraced(t, func(t *testing.T, c *traced) {
				c.offerOrder()
				plain := c.Start("plain")
				c.Settle()
				_, err := plain.Caller("order", broach.Meta("traceparent", parent)).Call(t.Context(), "milk")
				require.NoError(t, err)
				require.Equal(t, want, c.took())
			})
		})
	}
}

// What Sample leaves out is left out as a whole, also by a sampler that would take it; what has begun elsewhere is not.
func TestSampleLeavesOutTraces(t *testing.T) {
	inTraced(t, func(t *testing.T, c *traced) {
		c.offerOrder()
		timer, err := c.till.Every(time.Second, func(ctx context.Context) error {
			_, err := c.till.Caller("order").Call(ctx, "milk")
			return err
		})
		require.NoError(t, err)
		time.Sleep(3 * time.Second)
		timer.Stop()
		_, err = c.till.Caller("order").Call(t.Context(), "milk")
		require.NoError(t, err)
		require.Empty(t, c.took())
		ctx, span := c.program().Start(t.Context(), "a customer")
		_, err = c.till.Caller("order").Call(ctx, "milk")
		require.NoError(t, err)
		span.End()
		require.Len(t, c.took(), 5)
	}, Sample(0))
}

// Of many traces about the share is told of, each of them whole.
func TestSampleTakesAShare(t *testing.T) {
	inTraced(t, func(t *testing.T, c *traced) {
		c.offerOrder()
		for range 1000 {
			_, err := c.till.Caller("order").Call(t.Context(), "milk")
			require.NoError(t, err)
		}
		lines := c.took()
		require.InDelta(t, 4*200, len(lines), 4*100)
		for i, line := range lines {
			require.Equal(t, i%4*2, strings.Index(line, strings.TrimSpace(line)), "each is whole")
		}
	}, Sample(0.2))
}

// An event that was published in a trace which is sampled, and is itself not, does not let what it calls follow that
// trace: the metadata of the event go along with its calls by themselves.
func TestWhatAnEventCallsIsNotSampledIfItIsNot(t *testing.T) {
	t.Run("by the sampler", func(t *testing.T) {
		inSampled(t, sdk.ParentBased(only{"nothing"}), publishUnsampled)
	})
	t.Run("by Sample", func(t *testing.T) { inTraced(t, publishUnsampled, Sample(0)) })
}

func publishUnsampled(t *testing.T, c *traced) {
	c.register(c.shed, "stock", func() {})
	done := make(chan error, 1)
	_, err := c.shop.Subscribe("sold", func(ctx context.Context, _ string) error {
		_, err := c.shop.Caller("stock").Call(ctx)
		done <- err
		return err
	})
	require.NoError(t, err)
	c.Settle()
	ctx, span := c.program().Start(t.Context(), "a customer") // which Sample does not leave out
	_, err = c.till.Publish(ctx, "sold", "milk")
	require.NoError(t, err)
	require.NoError(t, <-done)
	span.End()
	require.Equal(t, []string{"internal a customer", "  producer publish sold, attempt 1 ok"}, c.took())
}

// What the Filter refuses has no span, and what it calls belongs to whoever called.
func TestTheFilter(t *testing.T) {
	inTraced(t, func(t *testing.T, c *traced) {
		c.offerOrder()
		ctx, span := c.program().Start(t.Context(), "a customer")
		_, err := c.till.Caller("order").Call(ctx, "milk")
		require.NoError(t, err)
		span.End()
		require.Equal(t, []string{"internal a customer"}, c.took())
		_, err = c.till.Caller("stock").Call(t.Context(), "milk")
		require.NoError(t, err)
		require.Equal(t, []string{"client stock, attempt 1 ok", "  server stock"}, c.took())
	}, Filter(func(service string) bool { return service != "order" }))
}

// A span always ends, also where the node is closed or the goroutine of the call ends.
func TestSpansEnd(t *testing.T) {
	inTraced(t, func(t *testing.T, c *traced) {
		c.register(c.shed, "stock", func(ctx context.Context) { <-ctx.Done() })
		for range 3 {
			go func() { _, _ = c.till.Caller("stock").Call(t.Context()) }()
		}
		require.NoError(t, c.till.Caller("stock").Send(t.Context()))
		time.Sleep(time.Second)
		require.NoError(t, c.till.Close())
		time.Sleep(time.Second)
		require.NoError(t, c.shed.Close())
		time.Sleep(3 * time.Second)
		var clients, servers int
		for _, line := range c.took() {
			switch line[:7] {
			case "client ":
				clients++
			case "  serve", "server ":
				servers++
			}
		}
		require.Equal(t, 4, clients)
		require.Equal(t, 4, servers)
	})
}

// "There Sample goes by what traceparent says", whatever the sampler would.
func TestSampleGoesByTheParent(t *testing.T) {
	inSampled(t, sdk.AlwaysSample(), func(t *testing.T, c *traced) {
		c.offerOrder()
		_, err := c.till.Caller("stock").Call(withoutSpan(t.Context()), "milk")
		require.NoError(t, err)
		plain := c.Start("plain")
		c.Settle()
		parent := broach.Meta("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")
		_, err = plain.Caller("order", parent).Call(t.Context(), "milk")
		require.NoError(t, err)
		require.Empty(t, c.took())
	}, Sample(0.999999))
}

// A call in the process has its caller's context: what is there of a span did not come along.
func TestASpanInTheContextDidNotComeAlong(t *testing.T) {
	ctx := withoutSpan(t.Context())
	c := New().(*tracer).read(ctx, map[string]string{"a": "1"})
	require.False(t, c.parent.IsValid())
	require.False(t, c.isBroken)
}
