package trace

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"broach"
	"broach/broachtest"

	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// counted are the points of a reader: name, attributes, how many, how long together.
func counted(t *testing.T, r *sdkmetric.ManualReader) (lines []string) {
	var all metricdata.ResourceMetrics
	require.NoError(t, r.Collect(t.Context(), &all))
	for _, scope := range all.ScopeMetrics {
		require.Equal(t, schemaURL, scope.Scope.SchemaURL)
		for _, m := range scope.Metrics {
			require.Equal(t, "s", m.Unit)
			for _, p := range m.Data.(metricdata.Histogram[float64]).DataPoints {
				require.Len(t, p.Bounds, 20)
				var attrs []string
				for _, a := range p.Attributes.ToSlice() {
					if a.Key != rpcSystemName && a.Key != serverAddress && a.Key != errorType {
						attrs = append(attrs, a.Value.String())
					}
				}
				lines = append(lines,
					fmt.Sprintf("%s %s: %d, %.3f s", m.Name, strings.Join(attrs, " "), p.Count, p.Sum))
			}
		}
	}
	slices.Sort(lines)
	return lines
}

// Calls are measured whether or not they are sampled, by names that somebody offers and by few codes.
func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := broachtest.New(t), sdkmetric.NewManualReader()
		tracer := New(Provider(sdk.NewTracerProvider(sdk.WithSampler(sdk.NeverSample()))),
			Meter(sdkmetric.NewMeterProvider(sdkmetric.WithReader(r))))
		n := c.Start("till", func(cfg *broach.Config) { cfg.Tracer = tracer })
		require.NoError(t, n.Register("pay", func(sum int) error {
			time.Sleep(time.Second)
			switch {
			case sum == 0:
				return broach.Errorf(broach.InvalidArgument, "nothing to pay")
			case sum < 0:
				return broach.Errorf(broach.Code(1000-sum), "not you")
			}
			return nil
		}))
		_, err := n.Subscribe("sold", func(string) {})
		require.NoError(t, err)
		for _, sum := range []int{1, 2, 0, -1, -2} {
			_, _ = n.Caller("pay").Call(t.Context(), sum)
		}
		for i := range 3 {
			_, _ = n.Caller(fmt.Sprintf("stock/%d", i)).Call(t.Context())
		}
		_, err = n.Publish(t.Context(), "sold", "milk")
		require.NoError(t, err)
		require.Equal(t, []string{
			"rpc.client.call.duration _OTHER NotFound: 3, 0.000 s",
			"rpc.client.call.duration pay InvalidArgument: 1, 1.000 s",
			"rpc.client.call.duration pay user: 2, 2.000 s",
			"rpc.client.call.duration pay: 2, 2.000 s",
			"rpc.server.call.duration pay InvalidArgument: 1, 1.000 s",
			"rpc.server.call.duration pay user: 2, 2.000 s",
			"rpc.server.call.duration pay: 2, 2.000 s",
		}, counted(t, r))
	})
}

// The wait for a worker is part of the duration of a call that is served, and an attribute of its span.
func TestWaitingIsMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r, spans := broachtest.New(t), sdkmetric.NewManualReader(), tracetest.NewInMemoryExporter()
		n := c.Start("till", func(cfg *broach.Config) {
			cfg.Pool = broach.Pool{Core: 1, Max: 1}
			p := sdk.NewTracerProvider(sdk.WithSyncer(spans))
			cfg.Tracer = New(Roots(), Provider(p), Meter(sdkmetric.NewMeterProvider(sdkmetric.WithReader(r))))
		})
		caller := c.Start("caller")
		require.NoError(t, n.Register("pay", func(context.Context) { time.Sleep(time.Second) }))
		c.Settle()
		for range 2 {
			require.NoError(t, caller.Caller("pay").Send(t.Context()))
		}
		time.Sleep(3 * time.Second)
		require.Equal(t, []string{"rpc.server.call.duration pay: 2, 3.000 s"}, counted(t, r))
		require.Empty(t, attrOf(spans.GetSpans()[0].Attributes, attrWait))
		require.Equal(t, "0.9", attrOf(spans.GetSpans()[1].Attributes, attrWait)[:3])
	})
}

// Who calls may have names from anywhere, so only so many are kept.
func TestBooksAreBounded(t *testing.T) {
	tr := New(NoMetrics()).(*tracer)
	for i := range 20_000 {
		require.Equal(t, fmt.Sprint(i), tr.calls.find(fmt.Sprint(i), broach.OneAnswer).span)
	}
	require.Len(t, tr.calls.names, 10_000)
	require.Same(t, tr.calls.find("0", broach.OneAnswer), tr.calls.find("0", broach.OneAnswer))
	require.NotSame(t, tr.calls.find("0", broach.OneAnswer), tr.calls.find("0", broach.OneWay))
}
