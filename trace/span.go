package trace

import (
	"context"
	"net/netip"
	"sync/atomic"
	"time"

	"broach"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// span is a broach.Span. Attempts of a hedged call tell it of themselves at once.
type span struct {
	name     *name
	ctx      context.Context // with the span
	span     trace.Span      // nil: not sampled
	carries  bool            // though it is not sampled
	began    time.Time       // zero: nothing is measured
	attempts atomic.Int64
	carried  [2]string // has room for a traceparent
}

func newSpan(ctx context.Context, n *name, of trace.Span) *span {
	s := &span{ctx: ctx, name: n, span: of}
	if n.book.measures(ctx, n.kind) {
		s.began = time.Now()
	}
	return s
}

// Carry is what goes along.
func (s *span) Carry() []string {
	if s.span == nil && !s.carries {
		return nil
	}
	return s.name.book.t.carried(s.ctx, s.carried[:0])
}

// Attempt notes that a provider was tried.
func (s *span) Attempt(to netip.AddrPort, n int, err error) {
	s.attempts.Add(1)
	if s.span == nil {
		return
	}
	at := s.name.book.t.places.find(s.name, to)
	if n == 1 && err == nil {
		s.span.AddEvent(attemptEvent, at.tried...)
		return
	}
	attrs := append(make([]attribute.KeyValue, 0, room(err)), attribute.Int(attrAttempt, n))
	attrs = failure(append(attrs, at.attrs...), err)
	s.span.AddEvent(attemptEvent, trace.WithAttributes(attrs...))
}

// End ends the span, and measures.
func (s *span) End(to netip.AddrPort, wait time.Duration, err error) {
	s.record(to.IsValid(), wait, err)
	if s.span == nil {
		return
	}
	if s.name.book.isCallers {
		s.endCall(to, err)
	} else {
		s.endServe(wait, err)
	}
	if err != nil {
		s.fail(codeOf(err))
	}
	s.span.End()
}

// endCall says where it ended. A name that nobody offers may be anything, so it is not that of the span.
func (s *span) endCall(to netip.AddrPort, err error) {
	at, attempts := s.name.book.t.places.find(s.name, to), s.attempts.Load()
	if attempts == 1 && err == nil {
		s.span.SetAttributes(at.ended...)
		return
	}
	attrs := append(make([]attribute.KeyValue, 0, room(err)), at.attrs...)
	attrs = append(attrs, attribute.Int64(attrAttempts, attempts))
	if codeOf(err) == broach.NotFound && !to.IsValid() && s.name.isCall {
		s.span.SetName(other)
		attrs = append(attrs, attribute.String(rpcMethod, other), attribute.String(rpcMethodOriginal, s.name.service))
	}
	s.span.SetAttributes(failure(attrs, err)...)
}

// longWait is how long a call waits that is told to have waited: most do so for microseconds.
const longWait = time.Millisecond

func (s *span) endServe(wait time.Duration, err error) {
	if wait >= longWait {
		s.span.SetAttributes(attribute.Float64(attrWait, wait.Seconds()))
	}
	if err != nil {
		s.span.SetAttributes(failure(make([]attribute.KeyValue, 0, 3), err)...)
	}
}

// fail says that it failed. What a caller did wrong, or gave up, is no error of the function, and a loop over a stream
// that is left is none at all.
func (s *span) fail(code broach.Code) {
	if s.name.kind == broach.Streaming && code == broach.Canceled {
		return
	}
	isCallers := code == broach.InvalidArgument || code == broach.NotFound || code == broach.Canceled ||
		code == broach.Unauthenticated
	if s.name.book.isCallers || !isCallers {
		s.span.SetStatus(codes.Error, code.String())
	}
}

// room is how many attributes there are of an attempt or an end: those of a failure are three.
func room(err error) int {
	if err == nil {
		return 3
	}
	return 8
}

// failure adds what is said of an error: its text may have in it what is nobody else's business.
func failure(attrs []attribute.KeyValue, err error) []attribute.KeyValue {
	e, ok := err.(*broach.Error)
	if !ok {
		return attrs
	}
	code := e.Code.String()
	return append(attrs, attribute.String(rpcStatusCode, code), attribute.String(errorType, code),
		attribute.String(attrExecuted, e.Executed.String()))
}

// codeOf is the code of what ends a Span; 0: it went well.
func codeOf(err error) broach.Code {
	if e, ok := err.(*broach.Error); ok {
		return e.Code
	}
	return 0
}
