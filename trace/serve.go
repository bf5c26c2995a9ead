package trace

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"

	"broach"

	"go.opentelemetry.io/otel/trace"
)

// StartServe is told by a node of a call, an event or a run of a timer that begins there.
func (t *tracer) StartServe(
	ctx context.Context, service string, kind broach.CallKind, from netip.AddrPort, meta map[string]string,
) (context.Context, broach.Span) {
	if !t.looksAt(service) {
		return ctx, nil
	}
	isCall := kind != broach.OneEvent && kind != broach.OneRun
	if isCall && len(meta) == 0 && !t.hasRoots { // who called did not sample
		return t.serves.unsampled(ctx, service, kind, false)
	}
	c := t.read(ctx, meta)
	if !isCall {
		return t.startRoot(c, service, kind, from)
	}
	if !c.parent.IsValid() && !t.hasRoots && !c.isBroken || t.leavesOut(c.parent) { // nor here
		return t.serves.unsampled(c.Context, service, kind, hasBaggage(c.Context))
	}
	n := t.serves.find(service, kind)
	with, span := t.spans.Start(c.Context, n.span, t.places.find(n, from).start...)
	if span.IsRecording() {
		return with, newSpan(with, n, span)
	}
	return t.serves.unsampled(with, service, kind, hasBaggage(with))
}

// startRoot begins a trace. If that is not sampled, what it calls is to know, whatever has come along: so it has a Span
// of broach, whose context says so.
func (t *tracer) startRoot(
	c came, service string, kind broach.CallKind, from netip.AddrPort,
) (context.Context, broach.Span) {
	n := t.serves.find(service, kind)
	if t.leavesOutRoot() {
		c.Context = withoutSpan(c.Context)
		return c.Context, newSpan(c.Context, n, nil)
	}
	opts := append(slices.Clip(t.places.find(n, from).start), trace.WithNewRoot())
	if c.parent.IsValid() {
		opts = append(opts, trace.WithLinks(trace.Link{SpanContext: c.parent}))
	}
	with, span := t.spans.Start(c.Context, n.span, opts...)
	if !span.IsRecording() {
		return with, newSpan(with, n, nil)
	}
	return with, newSpan(with, n, span)
}

// withoutSpan is a context of a trace that is not sampled.
func withoutSpan(ctx context.Context) context.Context {
	var c trace.SpanContextConfig
	binary.NativeEndian.PutUint64(c.TraceID[:8], rand.Uint64())
	binary.NativeEndian.PutUint64(c.TraceID[8:], rand.Uint64()|1) // zero is none
	binary.NativeEndian.PutUint64(c.SpanID[:], rand.Uint64()|1)
	return trace.ContextWithSpanContext(ctx, trace.NewSpanContext(c))
}
