package trace

import (
	"context"
	"slices"

	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// pairs are metadata as a Span of broach carries them: a key, its value, and so on.
type pairs []string

// Get and Keys are of a propagation.TextMapCarrier, and used by nobody who injects.
func (p *pairs) Get(string) string { return "" }
func (p *pairs) Keys() []string    { return nil }

// Set adds one.
func (p *pairs) Set(key, value string) { *p = append(*p, key, value) }

// headersOf are the keys of a propagator but that of baggage, which says nothing of a trace.
func headersOf(p propagation.TextMapPropagator) []string {
	return slices.DeleteFunc(slices.Clone(p.Fields()), func(s string) bool { return s == "baggage" })
}

// came is what metadata say of whoever called.
type came struct {
	context.Context                   // with that span and the baggage
	parent          trace.SpanContext // not valid: there is none
	isBroken        bool              // they name a trace, but not so that anybody could read it
	hasBaggage      bool
	isWithin        bool // of a call that is made: the function that makes it serves one, and has no span
	inherits        bool // of a call that is made: metadata of the one served go along with it
}

// read finds out. Most calls have no metadata.
func (t *tracer) read(ctx context.Context, meta map[string]string) (c came) {
	c.Context = ctx
	if len(meta) == 0 {
		return c
	}
	c.Context = t.propagator.Extract(ctx, propagation.MapCarrier(meta))
	if c.parent = trace.SpanContextFromContext(c.Context); !c.parent.IsRemote() {
		c.parent = trace.SpanContext{} // a span that was there before
	}
	c.hasBaggage = hasBaggage(c.Context)
	c.isBroken = !c.parent.IsValid() && slices.ContainsFunc(t.headers, func(key string) bool { return meta[key] != "" })
	return c
}

func hasBaggage(ctx context.Context) bool { return baggage.FromContext(ctx).Len() > 0 }
