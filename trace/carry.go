package trace

import (
	"context"
	"encoding/hex"
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

// carried are the metadata for a call with a span in its context: a key, its value, and so on, in the room if there is
// enough. Most calls carry a traceparent alone, as W3C says, and that is most often all that Inject would find.
func (t *tracer) carried(ctx context.Context, room []string) []string {
	c := trace.SpanContextFromContext(ctx)
	if t.isW3C && c.IsValid() && c.TraceState().Len() == 0 && !hasBaggage(ctx) {
		return append(room, "traceparent", traceparent(c))
	}
	all := pairs(room)
	t.propagator.Inject(ctx, &all)
	return all
}

// traceparent is what propagation.TraceContext writes, for a third of the time.
func traceparent(c trace.SpanContext) string {
	traceID, spanID := c.TraceID(), c.SpanID()
	b := append(make([]byte, 0, 55), "00-"...)
	b = append(hex.AppendEncode(b, traceID[:]), '-')
	b = append(hex.AppendEncode(b, spanID[:]), "-0"...)
	return string(append(b, '0'+byte(c.TraceFlags()&(trace.FlagsSampled|trace.FlagsRandom))))
}

// headersOf are the keys of a propagator but that of baggage, which says nothing of a trace.
func headersOf(p propagation.TextMapPropagator) []string {
	return slices.DeleteFunc(slices.Clone(p.Fields()), func(s string) bool { return s == "baggage" })
}

// came is what metadata say of whoever called.
type came struct {
	context.Context                   // with that span and the baggage
	parent          trace.SpanContext // not valid: there is none
	isBroken        bool              // they name a trace, but not so that anybody could read it
	isWithin        bool              // of a call that is made: the function that makes it serves one, and has no span
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
	c.isBroken = !c.parent.IsValid() && slices.ContainsFunc(t.headers, func(key string) bool { return meta[key] != "" })
	return c
}

func hasBaggage(ctx context.Context) bool {
	return ctx != context.Background() && baggage.FromContext(ctx).Len() > 0
}
