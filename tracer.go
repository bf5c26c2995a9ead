package broach

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"broach/internal/link"
	"broach/internal/wire"
)

// Tracer is told of calls as they are made and served, also of what no Interceptor sees: attempts and hedges. It
// changes nothing but by what a Span carries. It is used by many goroutines at once, and takes the time of the calls.
// If it or a Span panics, the node logs that and goes on without it.
type Tracer interface {
	// StartCall is told of a call before its Interceptors are: of each that All makes, too, and of each that an event
	// consists of. What is in the context that it returns reaches them. With a nil Span nobody is told more of the
	// call, which costs nothing then, and the context is not looked at.
	StartCall(ctx context.Context, service string, kind CallKind) (context.Context, Span)
	// StartServe is told of a call, an event or a run of a timer that is about to begin here, before its Interceptors
	// are. meta, which are its own, are what came along. What is in the context that it returns reaches the function.
	StartServe(ctx context.Context, service string, kind CallKind, from netip.AddrPort,
		meta map[string]string) (context.Context, Span)
}

// Span is what a Tracer wants to know of one call.
type Span interface {
	// Carry are texts to go along as metadata: a key, its value, and so on. They count above others under the same
	// keys. If all together are more than metadata may be, or one is none, those of the Span stay behind. It is asked
	// for them once, if the call is made.
	Carry() []string
	// Attempt is told, of calls made here, how one provider was tried, the n-th from 1 on. Those of a hedged call may
	// overlap.
	Attempt(to netip.AddrPort, n int, err error)
	// End is told how the call ended, before its result is decoded: at which node, not valid if none was tried; how
	// long a call that was served here had waited before it ran; and err, nil or an *Error.
	End(to netip.AddrPort, wait time.Duration, err error)
}

// CallKind is what a Tracer is told of.
type CallKind uint8

const (
	OneAnswer  CallKind = iota // a call that waits for its result
	OneWay                     // one by Send
	AllAnswers                 // one of those that All makes; where it is served, it is OneAnswer
	OneEvent                   // an event on its way to one subscriber; the service is the topic
	OneRun                     // one of a timer; the service is the name of OneOwner, else ""
	Streaming                  // one that streams, either way; it ends when its streams have
)

// tracing is the Tracer of a node. It may be used by many goroutines at once. nil: there is none.
type tracing struct {
	tracer Tracer
	log    *journal
	isOff  atomic.Bool // it has panicked
}

func newTracing(t Tracer, log *journal) *tracing {
	if t == nil {
		return nil
	}
	return &tracing{tracer: t, log: log}
}

// looksAt reports whether the Tracer is told of a function or an event. It is not of calls that the nodes make for
// themselves.
func (t *tracing) looksAt(name string, isEvent bool) bool {
	return t != nil && !t.isOff.Load() && (isEvent || !wire.IsOwn(name))
}

// caught is deferred wherever code of the Tracer runs.
func (t *tracing) caught() {
	if v := recover(); v != nil && !t.isOff.Swap(true) {
		t.log.Error("broach: the Tracer panicked: it is told nothing more", "panic", wire.Shortened(fmt.Sprint(v)),
			"stack", string(debug.Stack()))
	}
}

// trace is one call made here that a Span is told of; nil: nobody is.
type trace struct {
	*tracing
	span     Span
	attempts atomic.Int64
	context  tracedContext // of the call, if the Tracer has put values into it
	asked    sync.Once     // for pairs
	pairs    []string      // what the Span carries
	meta     [96]byte      // has room for that in metadata, most often it is a traceparent

	mu         sync.Mutex     // protects what follows: attempts of a hedged call end at once
	at         netip.AddrPort // the first provider that answered, else the one tried last; not valid: none was
	isAnswered bool
}

// tracedContext has the values that a Tracer has put into it, and ends as before.
type tracedContext struct {
	context.Context
	values context.Context
}

func (c *tracedContext) Value(key any) any {
	if v := c.values.Value(key); v != nil {
		return v
	}
	return c.Context.Value(key)
}

// hasValues reports whether the Tracer has put some into a context.
func hasValues(ctx, values context.Context) bool { return values != nil && values != ctx }

// startTrace tells the Tracer of a call that begins.
func (c *Caller) startTrace(ctx context.Context, oneWay bool) (with context.Context, s *trace) {
	t, isEvent := c.node.serving.provider.tracing, c.opts.event != 0
	if !t.looksAt(c.name, isEvent) {
		return ctx, nil
	}
	with = ctx
	defer t.caught()
	name, kind := c.name, c.opts.kind
	switch {
	case isEvent:
		name, kind = topicOf(name), OneEvent
	case oneWay:
		kind = OneWay
	case c.opts.isStreaming:
		kind = Streaming
	}
	values, span := t.tracer.StartCall(ctx, name, kind)
	if span == nil {
		return ctx, nil
	}
	s = &trace{tracing: t, span: span}
	if hasValues(ctx, values) {
		s.context = tracedContext{ctx, values}
		with = &s.context
	}
	return with, s
}

// serveTrace is what runs here and a Span is told of; nil: nobody is.
type serveTrace struct {
	span Span
	wait time.Duration // before it began
}

// end tells how it ended, once.
func (s *serveTrace) end(p *provider, failed *Error) {
	if s != nil {
		p.tracing.end(s.span, p.addr(), s.wait, failed)
	}
}

// startTrace tells the Tracer of a call that is about to run.
func (r *request) startTrace(ctx context.Context, now time.Time) (with context.Context) {
	t, kind := r.provider.tracing, OneAnswer
	if !t.looksAt(r.function.name, false) {
		return ctx
	}
	with = ctx
	defer t.caught()
	switch {
	case r.isEvent:
		kind = OneEvent
	case r.Way == link.OneWay:
		kind = OneWay
	case r.function.Streams():
		kind = Streaming
	}
	meta, isShared := r.meta, r.isEvent || r.function.needsRequest() // by subscribers, or with the function
	if isShared {
		meta = maps.Clone(meta)
	}
	values, span := t.tracer.StartServe(ctx, r.function.name, kind, r.from(), meta)
	if span == nil {
		return ctx
	}
	r.trace = &serveTrace{span, r.provider.at(now) - r.came}
	if isShared && hasValues(ctx, values) { // else nobody gets to see the context
		with = &tracedContext{ctx, values}
	}
	return with
}

// startTrace tells the Tracer of a run that is about to begin, at a time by the clock of the provider.
func (t *Timer) startTrace(at time.Duration) (with context.Context) {
	p := &t.node.serving.provider
	if with = t.ctx; !p.tracing.looksAt(t.name, true) {
		return with
	}
	defer p.tracing.caught()
	values, span := p.tracing.tracer.StartServe(t.ctx, t.name, OneRun, p.addr(), nil)
	if span == nil {
		return with
	}
	t.trace = &serveTrace{span, at - t.came}
	if hasValues(with, values) {
		with = &tracedContext{with, values}
	}
	return with
}

// carried are the metadata of the Span: a key, its value, and so on.
func (s *trace) carried() []string {
	if s == nil || s.isOff.Load() {
		return nil
	}
	defer s.caught()
	s.asked.Do(func() { s.pairs = s.span.Carry() }) // an Interceptor may make the call twice at once
	return s.pairs
}

// begin numbers an attempt.
func (s *trace) begin() int {
	if s == nil {
		return 0
	}
	return int(s.attempts.Add(1))
}

// tried tells of an attempt that has ended.
func (s *trace) tried(to netip.AddrPort, n int, failed *Error) {
	if s == nil || s.isOff.Load() {
		return
	}
	defer s.caught()
	s.note(to, failed)
	s.span.Attempt(to, n, failed.copied())
}

// note keeps where the call has ended, as far as it is known.
func (s *trace) note(to netip.AddrPort, failed *Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.isAnswered {
		s.at, s.isAnswered = to, failed == nil
	}
}

// endCall tells how a call ended, at the provider that answered or was tried last.
func (s *trace) endCall(failed *Error) {
	if s == nil {
		return
	}
	s.mu.Lock()
	to := s.at
	s.mu.Unlock()
	s.end(s.span, to, 0, failed)
}

// endTrace tells how a call ended that ran here.
func (r *request) endTrace(failed *Error, code Code) {
	s := r.trace
	if r.trace = nil; s != nil && failed != nil {
		e := *failed
		e.Code, e.Service = code, r.function.name
		failed = &e
	}
	s.end(r.provider, failed)
}

func (t *tracing) end(span Span, to netip.AddrPort, wait time.Duration, failed *Error) {
	if t.isOff.Load() {
		return
	}
	defer t.caught()
	span.End(to, wait, failed.copied())
}

// copied is an error that a Tracer may have, whatever it does with it.
func (e *Error) copied() error {
	if e == nil {
		return nil
	}
	c := *e
	return &c
}
