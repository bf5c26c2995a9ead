package broach

import (
	"context"
	"errors"
	"reflect"
	"runtime/debug"
	"sync/atomic"
	"time"

	"broach/internal/codec"
	"broach/internal/deadline"
	"broach/internal/function"
)

// interception is one call on its way through the Interceptors of its caller, which may keep all of it.
type interception struct {
	step     step // the first
	call     Invocation
	ctx      deadline.Context
	untimed  deadline.Untimed // of that
	caller   *Caller
	oneWay   bool
	trace    *trace                         // nil: no Span is told of it
	streams  *streams                       // of a call whose results stream
	decode   func(body []byte) (any, error) // nil: there are no results
	wanted   []reflect.Type                 // results, as in an outCall
	ran      execution
	attempts atomic.Int32 // by next
}

// callIntercepted is Call for a Caller that has Interceptors.
func callIntercepted[R any](
	ctx context.Context, c *Caller, args codec.Arguments, decode func(body []byte) (any, error),
) (r R, _ error) {
	in := &interception{caller: c, decode: decode, wanted: shapeOf(reflect.TypeFor[R]()).alone}
	v, failed := in.run(ctx, args)
	if failed != nil {
		return r, failed
	}
	if r, ok := v.(R); ok {
		return r, nil
	}
	out, failed := in.spread(v, []reflect.Type{reflect.TypeFor[R]()})
	if failed != nil {
		return r, failed
	}
	return *out[0].Addr().Interface().(*R), nil
}

// decodeAny is codec.DecodeAs as Interceptors see the result.
func decodeAny[R any](body []byte) (any, error) { return codec.DecodeAs[R](body) }

// sendIntercepted is Send for a Caller that has Interceptors.
func (c *Caller) sendIntercepted(ctx context.Context, args []any) error {
	in := &interception{caller: c, oneWay: true}
	if failed := in.withoutResult(ctx, args); failed != nil {
		return failed
	}
	return nil
}

// withoutResult makes a call that has none.
func (in *interception) withoutResult(ctx context.Context, args []any) *Error {
	v, failed := in.run(ctx, codec.Arguments{List: args})
	if failed == nil {
		_, failed = in.spread(v, nil)
	}
	return failed
}

// interceptedFor is callFor for a Caller that has Interceptors.
func (c *Caller) interceptedFor(ctx context.Context, args []any, want []reflect.Type) ([]reflect.Value, error) {
	in := &interception{caller: c, wanted: want}
	in.decode = func(body []byte) (any, error) {
		out, err := codec.DecodeResults(body, want, false)
		return function.Gather(out), err
	}
	v, failed := in.run(ctx, codec.Arguments{List: args})
	if failed != nil {
		return nil, failed
	}
	out, failed := in.spread(v, want)
	if failed != nil {
		return nil, failed
	}
	return out, nil
}

// run makes the call, of which a Tracer hears before the Interceptors.
func (in *interception) run(ctx context.Context, args codec.Arguments) (v any, failed *Error) {
	ctx = orEndless(ctx)
	now := time.Now()
	if mayStream(in.streams, args.List) {
		in.caller = in.caller.ofStream()
		if in.streams == nil {
			in.streams = new(streams)
		}
	}
	n := in.caller.beginCount(now)
	failed = errCallCutShort
	defer func() { // also if an Interceptor ends the goroutine
		in.trace.endCall(failed)
		in.caller.endCount(n, time.Now(), failed)
	}()
	ctx, in.trace = in.caller.startTrace(ctx, in.oneWay)
	return in.through(ctx, now, args)
}

// through goes through the Interceptors and returns what comes out. A call that cannot even begin does not reach them.
func (in *interception) through(given context.Context, now time.Time, args codec.Arguments) (v any, failed *Error) {
	c := in.caller
	if failed := c.refusal(given); failed != nil {
		return nil, failed
	}
	in.ctx.Begin(given, c.deadline(given, now))
	in.untimed.Begin(&in.ctx)
	defer in.untimed.End()
	defer func() {
		if v := recover(); v != nil {
			failed = in.panicked(v, debug.Stack())
		}
	}()
	in.step.list, in.step.last = c.opts.interceptors, in
	in.call = Invocation{Service: c.name, From: c.node.Addr(), given: args.List}
	in.call.inherited, in.call.own = c.layersOfMeta(given)
	if args.Typed != nil {
		in.call.made = args.Typed
	}
	v, err := in.step.run(&in.ctx, &in.call)
	if err != nil {
		return nil, in.failed(&in.ctx, err)
	}
	return v, nil
}

// spread makes results of these types of what came out.
func (in *interception) spread(v any, want []reflect.Type) ([]reflect.Value, *Error) {
	out, err := function.Spread(v, want)
	if err != nil {
		return nil, in.caller.unusable(in.caller.newError(Internal, in.ran.outcome(), err.Error()))
	}
	return out, nil
}

// handle makes the call. Where the context is still the one that the Interceptors were given, nobody needs its timer:
// the call has the deadline itself.
func (in *interception) handle(ctx context.Context, call *Invocation) (any, error) {
	in.ran.beginNext()
	out := outCall{Arguments: call.sent(), call: call, oneWay: in.oneWay, trace: in.trace, results: in.wanted,
		attempts: in.attempts.Load(), streams: in.streams}
	if ctx == &in.ctx && ctx.Err() == nil {
		out.deadline, _ = ctx.Deadline()
		ctx = &in.untimed
	}
	p, failed := in.caller.do(ctx, &out)
	in.attempts.Store(out.attempts)
	if failed != nil {
		in.ran.endNext(failed.Executed)
		return nil, failed
	}
	in.ran.endNext(Yes)
	defer in.caller.node.linking.wires.FreeCall(p)
	if in.decode == nil {
		return nil, nil
	}
	v, err := in.decode(p.Body)
	if err != nil {
		return nil, in.caller.own(err)
	}
	return v, nil
}

// sent are the arguments as they are sent: typed, if nobody has looked at them.
func (call *Invocation) sent() codec.Arguments {
	typed, ok := call.made.(codec.TypedArguments)
	switch {
	case call.hasArgs || call.made == nil:
		return codec.Arguments{List: call.given}
	case ok:
		return codec.Arguments{Typed: typed}
	}
	return codec.Arguments{List: call.made.List()}
}

// failed is the error of the call where the outermost Interceptor returned err. What err says of itself is user code,
// and may panic.
func (in *interception) failed(ctx context.Context, err error) *Error {
	if e, ok := err.(*Error); ok && e != nil {
		if in.ran.outcome() == No {
			return e
		}
		return e.after(&Error{Executed: Maybe}) // it may be that of one call of several
	}
	e := in.caller.newError(Application, in.ran.outcome(), textOf(err))
	within, isCoded := errors.AsType[*Error](err)
	switch {
	case isCoded && within != nil:
		e.Code = within.Code.ofHandler()
	case ctx.Err() == nil || !errors.Is(err, ctx.Err()):
	case errors.Is(err, context.DeadlineExceeded):
		e.Code = DeadlineExceeded
	default:
		e.Code = Canceled
	}
	e.cause = err
	return e
}

// panicked is the error of a call whose Interceptor panicked.
func (in *interception) panicked(v any, stack []byte) *Error {
	executed := No
	if in.ran.outcome() != No {
		executed = Maybe
	}
	in.caller.node.serving.provider.logPanic(in.caller.name, v, stack)
	return in.caller.newError(Internal, executed, "an Interceptor of the caller panicked")
}

// execution collects what the calls that next made say of the function. It may be used by many goroutines at once.
type execution struct {
	maybe atomic.Int32 // calls that are under way, or did not end with No
	yes   atomic.Int32 // of these ended with Yes
}

// beginNext and endNext stand around each of those calls.
func (x *execution) beginNext() { x.maybe.Add(1) }

func (x *execution) endNext(e Executed) {
	switch e {
	case No:
		x.maybe.Add(-1)
	case Yes:
		x.yes.Add(1)
	}
}

// outcome says whether the function ran for any of them.
func (x *execution) outcome() Executed {
	switch {
	case x.yes.Load() > 0:
		return Yes
	case x.maybe.Load() > 0:
		return Maybe
	}
	return No
}
