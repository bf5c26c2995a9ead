package trace

import (
	"context"

	"broach"

	"go.opentelemetry.io/otel/trace"
)

// StartCall is told by a node of a call, or of an event on its way to one subscriber.
func (t *tracer) StartCall(
	ctx context.Context, service string, kind broach.CallKind,
) (context.Context, broach.Span) {
	if !t.looksAt(service) {
		return ctx, nil
	}
	if ctx == context.Background() { // in which nothing need be looked for
		if t.leavesOutRoot() {
			return t.calls.unsampled(ctx, service, kind, false)
		}
		return t.startCall(ctx, ctx, service, kind)
	}
	from := t.calledFrom(ctx)
	if from.isWithin && !from.parent.IsValid() { // the call that is served was not sampled, so nor is this one
		return t.calls.unsampled(from.Context, service, kind, hasBaggage(from.Context))
	}
	if t.leavesOut(from.parent) {
		carries := from.parent.IsValid() && !from.isWithin && inherits(ctx)
		return t.calls.unsampled(from.Context, service, kind, carries || hasBaggage(from.Context))
	}
	return t.startCall(ctx, from.Context, service, kind)
}

// startCall makes the span of a call with ctx below the one in parent, if the sampler wants it.
func (t *tracer) startCall(
	ctx, parent context.Context, service string, kind broach.CallKind,
) (context.Context, broach.Span) {
	n := t.calls.find(service, kind)
	with, span := t.spans.Start(parent, n.span, n.start...)
	if span.IsRecording() {
		return with, newSpan(with, n, span)
	}
	return t.calls.unsampled(with, service, kind, inherits(ctx) || hasBaggage(with))
}

// calledFrom finds what a call is part of. If ctx has no span, that is the call which a function serves: its metadata
// may name one, where the Filter has left that call out.
func (t *tracer) calledFrom(ctx context.Context) came {
	if parent := trace.SpanContextFromContext(ctx); parent.IsValid() {
		return came{Context: ctx, parent: parent}
	}
	served, isWithin := broach.InvocationFrom(ctx)
	if !isWithin {
		return came{Context: ctx}
	}
	c := t.read(ctx, served.Meta())
	c.isWithin = true
	return c
}

// inherits reports whether metadata of the call that a function serves go along with one that it makes: then this one
// has to say that it is not sampled.
func inherits(ctx context.Context) bool {
	served, isWithin := broach.InvocationFrom(ctx)
	return isWithin && len(served.Meta()) > 0
}

// unsampled is a call without a span: a nil Span, which costs nothing, if nothing has to be carried or measured.
func (b *book) unsampled(
	ctx context.Context, service string, kind broach.CallKind, carries bool,
) (context.Context, broach.Span) {
	if !carries && !b.measures(ctx, kind) {
		return ctx, nil
	}
	s := newSpan(ctx, b.find(service, kind), nil)
	s.carries = carries
	return ctx, s
}
