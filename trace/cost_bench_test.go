package trace

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
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

// What a Tracer costs, measured as add/64 of bench: 64 callers in this process, the function in another one, both on
// this machine, neither with anything else to do.

// costVariable says of which set-up a process is that the benchmark starts.
const costVariable = "BROACH_TRACE_TEST_COST"

// byHand are set-ups without a Tracer: the program makes the same spans around a share of the calls, and where they are
// served. That is what the SDK takes, and no Tracer that uses it can be better.
var byHand = map[string]float64{"by hand": 1, "1% by hand": 0.01}

// setups are what is measured.
var setups = []struct {
	name   string
	tracer func() broach.Tracer
}{
	{"by hand", func() broach.Tracer { return nil }},
	{"1% by hand", func() broach.Tracer { return nil }},
	{"unsampled", func() broach.Tracer { return New(NoMetrics(), sampling(sdk.NeverSample())) }},
	{"1%", func() broach.Tracer { return New(NoMetrics(), sampling(sdk.TraceIDRatioBased(0.01))) }},
	{"Sample(0)", func() broach.Tracer { return New(NoMetrics(), Sample(0), sampling(sdk.AlwaysSample())) }},
	{"Sample(0.01)", func() broach.Tracer { return New(NoMetrics(), Sample(0.01), sampling(sdk.AlwaysSample())) }},
	{"all", func() broach.Tracer { return New(NoMetrics(), sampling(sdk.AlwaysSample())) }},
	{"metrics", func() broach.Tracer {
		return New(sampling(sdk.NeverSample()),
			Meter(sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))))
	}},
}

func sampling(s sdk.Sampler) Option { return Provider(batching(s)) }

// batching is the usual set-up but for the exporter, which is not to be measured.
func batching(s sdk.Sampler) trace.TracerProvider {
	return sdk.NewTracerProvider(sdk.WithSampler(sdk.ParentBased(s)), sdk.WithBatcher(new(tracetest.NoopExporter)))
}

// callersAtOnce is how many goroutines call, and callsAtOnce how many calls they make before it is the other's turn.
const (
	callersAtOnce = 64
	callsAtOnce   = 20_000
)

// BenchmarkAdd64 measures each set-up beside none, in turns. x-calls is how many calls a second there are in place of
// one without a Tracer, and x-processor how many for the same processor time, of both processes: other work on the
// machine does not count in that.
func BenchmarkAdd64(b *testing.B) {
	for _, s := range setups {
		b.Run(s.name, func(b *testing.B) {
			with, without := startCost(b, s.name, s.tracer()), startCost(b, "none", nil)
			for b.Loop() {
				without.call(b)
				with.call(b)
			}
			with.end(b)
			without.end(b)
			calls := float64(b.N) * callsAtOnce
			b.ReportMetric(without.took.Seconds()/with.took.Seconds(), "x-calls")
			b.ReportMetric(without.processor.Seconds()/with.processor.Seconds(), "x-processor")
			b.ReportMetric(with.processor.Seconds()*1e6/calls, "µs-processor/call")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// cost is one set-up under measurement.
type cost struct {
	provider  *exec.Cmd
	in        io.Closer // of the provider, which ends with it
	node      *broach.Node
	at        netip.AddrPort // where the provider is
	add       func(x, y int) (int, error)
	took      time.Duration
	processor time.Duration // of this process while it calls
	before    time.Duration // of the provider, when it had settled
}

func startCost(b *testing.B, name string, tracer broach.Tracer) *cost {
	c := &cost{provider: exec.CommandContext(b.Context(), os.Args[0])}
	c.provider.Env, c.provider.Stderr = append(os.Environ(), costVariable+"="+name), os.Stderr
	in, err := c.provider.StdinPipe()
	require.NoError(b, err)
	out, err := c.provider.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, c.provider.Start())
	said := bufio.NewScanner(out)
	require.True(b, said.Scan(), "it says where it is")
	c.in, c.at = in, netip.MustParseAddrPort(said.Text())
	c.node, err = broach.Start(broach.Config{Addr: "127.0.0.1:0", LogLevel: "off", Join: []string{said.Text()},
		Tracer: tracer})
	require.NoError(b, err)
	require.NoError(b, c.node.WaitFor(b.Context(), "add", 1))
	c.add = broach.Bind[func(x, y int) (int, error)](c.node, "add")
	if share := byHand[name]; share > 0 {
		c.add = newHand(share).calls(c.add)
	}
	c.call(b)
	c.took, c.processor, c.before = 0, 0, c.used(b, c.at)
	return c
}

// call makes as many calls as are made at once.
func (c *cost) call(b *testing.B) {
	var left atomic.Int64
	left.Store(callsAtOnce)
	began, used := time.Now(), c.used(b, c.node.Addr())
	var all sync.WaitGroup
	for range callersAtOnce {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				if sum, err := c.add(1, 2); sum != 3 || err != nil {
					b.Error(sum, err)
				}
			}
		})
	}
	all.Wait()
	c.took += time.Since(began)
	c.processor += c.used(b, c.node.Addr()) - used
}

// used is what the process at an address has used of the processors.
func (c *cost) used(b *testing.B, at netip.AddrPort) time.Duration {
	v, err := c.node.Inspect(b.Context(), at, broach.ViewServices)
	require.NoError(b, err)
	return v.CPU
}

// end ends both nodes, and adds what the provider has used. In the turns of the other that is next to nothing.
func (c *cost) end(b *testing.B) {
	c.processor += c.used(b, c.at) - c.before
	require.NoError(b, c.node.Close())
	require.NoError(b, c.in.Close())
	require.NoError(b, c.provider.Wait())
}

// beCost is the provider's process, until its input ends.
func beCost(name string) error {
	add, tracer := func(x, y int) int { return x + y }, broach.Tracer(nil)
	for _, s := range setups {
		if s.name == name {
			tracer = s.tracer()
		}
	}
	if share := byHand[name]; share > 0 {
		add = newHand(share).serves(add)
	}
	n, err := broach.Start(broach.Config{Addr: "127.0.0.1:0", LogLevel: "off", Tracer: tracer})
	if err != nil {
		return err
	}
	if err := n.Register("add", add); err != nil {
		return err
	}
	fmt.Println(n.Addr())
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, n.Close())
}

// hand makes by hand what a Tracer makes of a call: two spans, with their attributes and an event, and traceparent
// written and read.
type hand struct {
	share float64 // of the calls
	spans trace.Tracer
	name  *name
	at    *place
}

func newHand(share float64) *hand {
	n := New().(*tracer).functionName(key{service: "add"}, trace.SpanKindClient)
	return &hand{share, batching(sdk.AlwaysSample()).Tracer("by hand"), n, newPlace(n, anAddr)}
}

func (h *hand) calls(add func(x, y int) (int, error)) func(x, y int) (int, error) {
	return func(x, y int) (int, error) {
		if rand.Float64() >= h.share {
			return add(x, y)
		}
		ctx, span := h.spans.Start(context.Background(), h.name.span, h.name.start...)
		var carried pairs
		propagation.TraceContext{}.Inject(ctx, &carried)
		sum, err := add(x, y)
		span.AddEvent(attemptEvent, h.at.tried...)
		span.SetAttributes(h.at.ended...)
		span.End()
		return sum, err
	}
}

// serves reads a traceparent that it has at hand: none comes along.
func (h *hand) serves(add func(x, y int) int) func(x, y int) int {
	came := propagation.MapCarrier{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
	return func(x, y int) int {
		if rand.Float64() >= h.share {
			return add(x, y)
		}
		ctx := propagation.TraceContext{}.Extract(context.Background(), came)
		_, span := h.spans.Start(ctx, h.name.span, h.at.start...)
		defer span.End()
		return add(x, y)
	}
}
