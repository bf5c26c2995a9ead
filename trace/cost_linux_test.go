package trace

import (
	"syscall"
	"testing"
	"time"

	"broach"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// Calls by 64 goroutines over loopback, as add/64 of bench: without a Tracer, and with one that samples nothing, one of
// a hundred, all; and with metrics.
func BenchmarkAdd64(b *testing.B) {
	provider := func(s sdk.Sampler) Option {
		return Provider(sdk.NewTracerProvider(
			sdk.WithSampler(sdk.ParentBased(s)), sdk.WithBatcher(new(tracetest.NoopExporter))))
	}
	for _, c := range []struct {
		name   string
		tracer func() broach.Tracer
	}{
		{"none", func() broach.Tracer { return nil }},
		{"unsampled", func() broach.Tracer { return New(NoMetrics(), provider(sdk.NeverSample())) }},
		{"1%", func() broach.Tracer { return New(NoMetrics(), provider(sdk.TraceIDRatioBased(0.01))) }},
		{"Sample(0)", func() broach.Tracer { return New(NoMetrics(), Sample(0), provider(sdk.AlwaysSample())) }},
		{"Sample(0.01)", func() broach.Tracer { return New(NoMetrics(), Sample(0.01), provider(sdk.AlwaysSample())) }},
		{"all", func() broach.Tracer { return New(NoMetrics(), provider(sdk.AlwaysSample())) }},
		{"metrics", func() broach.Tracer {
			return New(provider(sdk.NeverSample()),
				Meter(sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))))
		}},
	} {
		b.Run(c.name, func(b *testing.B) { benchmarkAdd(b, c.tracer()) })
	}
}

func benchmarkAdd(b *testing.B, tracer broach.Tracer) {
	start := func(seeds ...string) *broach.Node {
		n, err := broach.Start(broach.Config{Addr: "127.0.0.1:0", LogLevel: "off", Join: seeds, Tracer: tracer})
		require.NoError(b, err)
		b.Cleanup(func() { _ = n.Close() })
		return n
	}
	provider := start()
	require.NoError(b, provider.Register("add", func(x, y int) int { return x + y }))
	caller := start(provider.Addr().String())
	require.NoError(b, caller.WaitFor(b.Context(), "add", 1))
	add := broach.Bind[func(x, y int) (int, error)](caller, "add")
	b.SetParallelism(32)
	b.ReportAllocs()
	before := processorTime(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := add(1, 2); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric((processorTime(b)-before).Seconds()*1e6/float64(b.N), "µs-processor/op")
}

// processorTime is what this process has taken. Other work on the machine does not count in it.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// What the SDK alone takes for the spans of such a call: two, with their attributes and an event, and traceparent
// written and read. What BenchmarkAdd64/all takes beyond this and beyond "none" is what broach can change.
func BenchmarkSDK(b *testing.B) {
	spans := sdk.NewTracerProvider(sdk.WithBatcher(new(tracetest.NoopExporter))).Tracer("broach/trace")
	n := New().(*tracer).functionName(key{service: "add"}, trace.SpanKindClient)
	at := newPlace(n, anAddr)
	b.SetParallelism(32)
	b.ReportAllocs()
	before := processorTime(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			ctx, client := spans.Start(b.Context(), n.span, n.start...)
			carried := propagation.MapCarrier{}
			propagation.TraceContext{}.Inject(ctx, carried)
			_, server := spans.Start(propagation.TraceContext{}.Extract(b.Context(), carried), n.span, at.start...)
			server.End()
			client.AddEvent(attemptEvent, at.tried...)
			client.SetAttributes(at.ended...)
			client.End()
		}
	})
	b.ReportMetric((processorTime(b)-before).Seconds()*1e6/float64(b.N), "µs-processor/op")
}
