package trace

import (
	"context"
	"net/netip"

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
	c := t.read(ctx, meta)
	isRoot := kind == broach.OneEvent || kind == broach.OneRun
	if !isRoot && !t.hasRoots && !c.isBroken && !c.parent.IsValid() { // whoever called did not sample
		return t.unsampled(c, t.serves, service, kind)
	}
	n := t.serves.find(service, kind)
	with, span := t.spans.Start(c.Context, n.span, n.starting(c, isRoot, from)...)
	if span.IsRecording() {
		return with, t.newSpan(with, t.serves, n, span)
	}
	c.Context = with
	if isRoot { // what it calls is to know that it is not sampled, whatever came along
		return with, t.newSpan(with, t.serves, n, nil)
	}
	return t.unsampled(c, t.serves, service, kind)
}

// starting are the options of its span. What begins a trace links to where it came from.
func (n *name) starting(c came, isRoot bool, from netip.AddrPort) []trace.SpanStartOption {
	opts := append(make([]trace.SpanStartOption, 0, len(n.start)+3), n.start...)
	if n.kind != broach.OneRun {
		opts = append(opts, trace.WithAttributes(peerAttributes(nil, from)...))
	}
	if isRoot {
		opts = append(opts, trace.WithNewRoot())
	}
	if isRoot && c.parent.IsValid() {
		opts = append(opts, trace.WithLinks(trace.Link{SpanContext: c.parent}))
	}
	return opts
}
