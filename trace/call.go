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
	from := t.calledFrom(ctx)
	if from.isWithin && !from.parent.IsValid() { // the call that is served was not sampled, so nor is this one
		return t.unsampled(from, t.calls, service, kind)
	}
	if t.leavesOut(from.parent) {
		from.inherits = from.parent.IsValid() && !from.isWithin && inherits(ctx)
		return t.unsampled(from, t.calls, service, kind)
	}
	n := t.calls.find(service, kind)
	with, span := t.spans.Start(from.Context, n.span, n.start...)
	if span.IsRecording() {
		return with, t.newSpan(with, t.calls, n, span)
	}
	from.Context, from.inherits = with, inherits(ctx)
	return t.unsampled(from, t.calls, service, kind)
}

// calledFrom finds what a call is part of. If ctx has no span, that is the call which a function serves: its metadata
// may name one, where the Filter has left that call out.
func (t *tracer) calledFrom(ctx context.Context) came {
	if parent := trace.SpanContextFromContext(ctx); parent.IsValid() {
		return came{Context: ctx, parent: parent, hasBaggage: hasBaggage(ctx)}
	}
	served, isWithin := broach.InvocationFrom(ctx)
	if !isWithin {
		return came{Context: ctx, hasBaggage: hasBaggage(ctx)}
	}
	c := t.read(ctx, served.Meta())
	c.isWithin, c.hasBaggage = true, hasBaggage(c.Context)
	return c
}

// inherits reports whether metadata of the call that a function serves go along with one that it makes: then this one
// has to say that it is not sampled.
func inherits(ctx context.Context) bool {
	served, isWithin := broach.InvocationFrom(ctx)
	return isWithin && len(served.Meta()) > 0
}

// unsampled is a call without a span: a nil Span, which costs nothing, if nothing has to be carried or measured.
func (t *tracer) unsampled(
	from came, b *book, service string, kind broach.CallKind,
) (context.Context, broach.Span) {
	carries := from.inherits || from.hasBaggage
	if !carries && !t.measures(from.Context, b, kind) {
		return from.Context, nil
	}
	s := t.newSpan(from.Context, b, b.find(service, kind), nil)
	s.carries = carries
	return from.Context, s
}
