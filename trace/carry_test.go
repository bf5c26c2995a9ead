package trace

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// What a call carries is what the propagators of OpenTelemetry say, also where they are not asked.
func TestWhatIsCarriedIsAsW3CSays(t *testing.T) {
	state, err := trace.ParseTraceState("shop=1")
	require.NoError(t, err)
	user, err := baggage.Parse("user=ann")
	require.NoError(t, err)
	whole := trace.SpanContextConfig{TraceID: trace.TraceID{0x0a, 15: 0xf9}, SpanID: trace.SpanID{1, 7: 0xbc}}
	tracer := New().(*tracer)
	for name, c := range map[string]struct {
		edit func(c *trace.SpanContextConfig)
		bag  baggage.Baggage
		want int
	}{
		"not sampled":      {func(*trace.SpanContextConfig) {}, baggage.Baggage{}, 1},
		"sampled, random":  {func(c *trace.SpanContextConfig) { c.TraceFlags = 3 }, baggage.Baggage{}, 1},
		"flags of later":   {func(c *trace.SpanContextConfig) { c.TraceFlags = 0xfd }, baggage.Baggage{}, 1},
		"with a state":     {func(c *trace.SpanContextConfig) { c.TraceState = state }, baggage.Baggage{}, 2},
		"with baggage":     {func(*trace.SpanContextConfig) {}, user, 2},
		"no span, baggage": {func(c *trace.SpanContextConfig) { *c = trace.SpanContextConfig{} }, user, 1},
		"nothing":          {func(c *trace.SpanContextConfig) { *c = trace.SpanContextConfig{} }, baggage.Baggage{}, 0},
	} {
		config := whole
		c.edit(&config)
		ctx := trace.ContextWithSpanContext(context.Background(), trace.NewSpanContext(config))
		ctx = baggage.ContextWithBaggage(ctx, c.bag)
		want, got := propagation.MapCarrier{}, map[string]string{}
		propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}).Inject(ctx, want)
		for all := tracer.carried(ctx, nil); len(all) > 0; all = all[2:] {
			got[all[0]] = all[1]
		}
		require.Equal(t, map[string]string(want), got, name)
		require.Len(t, got, c.want, name)
	}
}
