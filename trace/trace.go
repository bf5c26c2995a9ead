// Package trace tells OpenTelemetry of the calls of a node: as spans, which span processes, and as metrics.
//
//	node, err := broach.Start(broach.Config{Tracer: trace.New(trace.Provider(tracerProvider))})
//
// A call is a span of kind CLIENT where it is made, with an event for each provider that was tried, and one of kind
// SERVER, its child, where it is served. An event of broach is a PRODUCER where it is published and a CONSUMER where it
// is handled, which links to the former and begins a trace of its own. A run of a timer begins one, too. What
// functions call with their context is below them.
//
// # Sampling
//
// The sampler of the TracerProvider decides where a trace begins. A call that is not sampled carries nothing and costs
// next to nothing, so a function that is called without a traceparent was called by somebody who did not sample: it is
// not sampled either, nor is what it calls. Where callers do not trace at all, Roots lets the provider decide.
//
// Names of attributes follow the semantic conventions 1.45. No argument, metadata value or text of an error is told.
//
// Files: trace.go, the Tracer; call.go and serve.go, how spans begin; span.go, how they go on and end; carry.go, what
// goes along; name.go and place.go, what is made once; meter.go, metrics; semconv.go, names of attributes.
package trace

import (
	"math/rand/v2"

	"broach"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Option changes what New returns.
type Option func(*tracer)

// Provider makes the spans. Without it that is the global one, of otel.GetTracerProvider.
func Provider(p trace.TracerProvider) Option { return func(t *tracer) { t.provider = p } }

// Meter counts calls and takes their times: rpc.client.call.duration and rpc.server.call.duration. Without it that is
// the global one, of otel.GetMeterProvider, which does nothing until the program sets one.
func Meter(p metric.MeterProvider) Option { return func(t *tracer) { t.meter = p } }

// NoMetrics leaves metrics out, also where there is a global MeterProvider. With metrics each call takes the path of
// one that is sampled, with its span left out.
func NoMetrics() Option { return func(t *tracer) { t.hasNoMetrics = true } }

// Propagator says how spans and baggage travel. Without it they do so as W3C says: traceparent, tracestate, baggage.
// All nodes of a cluster need the same.
func Propagator(p propagation.TextMapPropagator) Option { return func(t *tracer) { t.propagator = p } }

// Filter says for which functions, topics and timers there are spans and metrics: f is asked at each call, by many
// goroutines at once. Of what it refuses nothing is told. Without it all are told of.
func Filter(f func(service string) bool) Option { return func(t *tracer) { t.filter = f } }

// Cluster is the name of the cluster, for the attribute server.address. Without it that is "default", as with
// broach.Config.
func Cluster(name string) Option { return func(t *tracer) { t.cluster = name } }

// Sample is the share of the traces that begin here which are to be told of, 0 to 1, chosen before the sampler of the
// Provider is asked, which decides about those. What is left out costs a fraction of what the sampler's no costs. What
// belongs to a trace that has begun elsewhere is not concerned: there Sample goes by what traceparent says. Without it
// the sampler decides alone.
func Sample(share float64) Option { return func(t *tracer) { t.share = share } }

// Roots lets functions begin traces that are called without a traceparent: for callers that do not trace. Where
// callers do, and sample a part, functions then begin traces of calls that their callers have left out.
func Roots() Option { return func(t *tracer) { t.hasRoots = true } }

// New returns a Tracer for broach.Config. One may serve several nodes.
func New(opts ...Option) broach.Tracer {
	t := &tracer{
		provider: otel.GetTracerProvider(), meter: otel.GetMeterProvider(), cluster: "default", share: 1,
	}
	for _, o := range opts {
		o(t)
	}
	if t.propagator == nil {
		t.isW3C = true
		t.propagator = propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})
	}
	t.spans = t.provider.Tracer("broach/trace", trace.WithSchemaURL(schemaURL))
	t.headers = headersOf(t.propagator)
	t.calls, t.serves = t.newBook(callName, true), t.newBook(serveName, false)
	t.places.made = make(map[placeKey]*place)
	t.makeMetrics()
	return t
}

// tracer is a broach.Tracer. Nothing of it changes once it is made but what its books and places hold.
type tracer struct {
	provider     trace.TracerProvider
	meter        metric.MeterProvider
	propagator   propagation.TextMapPropagator
	isW3C        bool                      // it is that of who names none
	filter       func(service string) bool // nil: all
	cluster      string
	share        float64 // of the traces that begin here
	hasNoMetrics bool
	hasRoots     bool

	spans   trace.Tracer
	headers []string // of the propagator that say of which trace a call is
	calls   *book
	serves  *book
	places  places
	durations
}

// leavesOut reports whether the sampler need not be asked about a span with that parent, which may be none.
func (t *tracer) leavesOut(parent trace.SpanContext) bool {
	if t.share < 1 && parent.IsValid() {
		return !parent.IsSampled()
	}
	return t.leavesOutRoot()
}

// leavesOutRoot is leavesOut for a span that has none.
func (t *tracer) leavesOutRoot() bool {
	return t.share < 1 && (t.share <= 0 || rand.Float64() >= t.share)
}

// looksAt reports whether something is told of a name.
func (t *tracer) looksAt(service string) bool { return t.filter == nil || t.filter(service) }
