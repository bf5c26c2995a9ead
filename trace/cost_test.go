package trace

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broach"
	"broach/broachtest"
	"broach/internal/race"

	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// processor counts spans that begin and end.
type processor struct{ begun, ended atomic.Int64 }

func (p *processor) OnStart(context.Context, sdk.ReadWriteSpan) { p.begun.Add(1) }
func (p *processor) OnEnd(sdk.ReadOnlySpan)                     { p.ended.Add(1) }
func (p *processor) Shutdown(context.Context) error             { return nil }
func (p *processor) ForceFlush(context.Context) error           { return nil }

// Many calls at once, which fail, are tried again, are hedged and given up, leave no span open.
func TestManyCallsLeaveNoSpanOpen(t *testing.T) {
	c, p := broachtest.New(t), new(processor)
	tracer := New(Provider(sdk.NewTracerProvider(sdk.WithSpanProcessor(p))),
		Meter(sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))))
	start := func(name string) *broach.Node {
		return c.Start(name, func(cfg *broach.Config) { cfg.Tracer = tracer })
	}
	till, one, two := start("till"), start("one"), start("two")
	for _, n := range []*broach.Node{one, two} {
		require.NoError(t, n.Register("work", func(i int) error {
			if i%3 == 0 {
				return broach.Errorf(broach.Unavailable, "not now")
			}
			time.Sleep(time.Duration(i%5) * 100 * time.Microsecond)
			return nil
		}, broach.Idempotent()))
	}
	c.Settle()
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			work := till.Caller("work", broach.Hedge(200*time.Microsecond), broach.Timeout(5*time.Millisecond))
			for i := range 100 {
				_, _ = work.Call(t.Context(), g*100+i)
			}
		})
	}
	all.Wait()
	for _, n := range []*broach.Node{till, one, two} {
		require.NoError(t, n.Close())
	}
	require.Greater(t, p.begun.Load(), int64(800), "each call, and most of what was served")
	require.Equal(t, p.begun.Load(), p.ended.Load())
}

// carrying is a Tracer whose Spans carry a traceparent and do nothing else.
type carrying struct{}

var carried = []string{"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}

func (c carrying) StartCall(ctx context.Context, _ string, _ broach.CallKind) (context.Context, broach.Span) {
	return ctx, c
}

func (c carrying) StartServe(
	ctx context.Context, _ string, _ broach.CallKind, _ netip.AddrPort, _ map[string]string,
) (context.Context, broach.Span) {
	return ctx, c
}

func (carrying) Carry() []string                          { return carried }
func (carrying) Attempt(netip.AddrPort, int, error)       {}
func (carrying) End(netip.AddrPort, time.Duration, error) {}

// What a node allocates, at both ends, for Spans that carry a traceparent: its note of the call, and what came along.
func TestWhatANodeAllocatesForASpan(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	start := func(seeds ...string) *broach.Node {
		n, err := broach.Start(broach.Config{Addr: "127.0.0.1:0", LogLevel: "off", Join: seeds, Tracer: carrying{}})
		require.NoError(t, err)
		t.Cleanup(func() { _ = n.Close() })
		return n
	}
	provider := start()
	require.NoError(t, provider.Register("add", func(x, y int) int { return x + y }))
	caller := start(provider.Addr().String())
	require.NoError(t, caller.WaitFor(t.Context(), "add", 1))
	add := broach.Bind[func(x, y int) (int, error)](caller, "add")
	require.LessOrEqual(t, testing.AllocsPerRun(2000, func() {
		if _, err := add(1, 2); err != nil {
			t.Error(err)
		}
	}), 6.0)
}

// What a call that is not sampled costs is an allocation count that holds still.
func TestWhatIsNotSampledAllocatesLittle(t *testing.T) {
	tracer := New(NoMetrics(), Provider(sdk.NewTracerProvider(sdk.WithSampler(sdk.NeverSample())))).(*tracer)
	call := func() {
		_, span := tracer.StartCall(t.Context(), "add", broach.OneAnswer)
		require.Nil(t, span)
	}
	serve := func() {
		_, span := tracer.StartServe(t.Context(), "add", broach.OneAnswer, netip.AddrPort{}, nil)
		require.Nil(t, span)
	}
	require.LessOrEqual(t, testing.AllocsPerRun(100, call), 4.0, "those of the SDK's Start")
	require.Zero(t, testing.AllocsPerRun(100, serve))
}
