package broach

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"broach/internal/codec"
	"broach/internal/function"
)

// interception is one call on its way through the Interceptors of its caller.
type interception struct {
	caller *Caller
	oneWay bool
	want   []reflect.Type                 // the results
	decode func(body []byte) (any, error) // into these; nil: there are none
	ran    execution
}

// callIntercepted is Call for a Caller that has Interceptors.
func callIntercepted[R any](ctx context.Context, c *Caller, args []any) (r R, _ error) {
	in := interception{caller: c, want: []reflect.Type{reflect.TypeFor[R]()}}
	in.decode = func(body []byte) (any, error) { return codec.DecodeAs[R](body) }
	out, failed := in.call(ctx, args)
	if failed != nil {
		return r, failed
	}
	return *out[0].Addr().Interface().(*R), nil
}

// sendIntercepted is Send for a Caller that has Interceptors.
func (c *Caller) sendIntercepted(ctx context.Context, args []any) error {
	in := interception{caller: c, oneWay: true}
	if _, failed := in.call(ctx, args); failed != nil {
		return failed
	}
	return nil
}

// callIntercepted is call for a Caller that has Interceptors.
func (b *binding) callIntercepted(ctx context.Context, args []any) []reflect.Value {
	in := interception{caller: b.caller, want: b.results}
	in.decode = func(body []byte) (any, error) {
		out, err := codec.DecodeResults(body, b.results)
		return function.Gather(out), err
	}
	out, failed := in.call(ctx, args)
	if failed != nil {
		return b.failed(failed)
	}
	return append(out, reflect.Zero(reflect.TypeFor[error]()))
}

// call goes through the Interceptors and returns what comes out, as it is wanted. A call that cannot even begin does
// not reach them.
func (in *interception) call(ctx context.Context, args []any) (out []reflect.Value, failed *Error) {
	c := in.caller
	if failed := c.refusal(ctx); failed != nil {
		return nil, failed
	}
	ctx, cancel := context.WithDeadline(ctx, c.deadline(ctx, time.Now()))
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			out, failed = nil, in.panicked(v, debug.Stack())
		}
	}()
	call := &Invocation{Service: c.name, From: c.node.Addr(), Meta: c.mergedMeta(ctx), Args: slices.Clone(args)}
	v, err := chain(c.opts.interceptors, in.next)(ctx, call)
	if err != nil {
		return nil, in.failed(ctx, err)
	}
	if out, err = function.Spread(v, in.want); err != nil {
		return nil, c.newError(Internal, in.ran.outcome(), err.Error())
	}
	return out, nil
}

// mergedMeta are the metadata of a call, as its Interceptors may change them.
func (c *Caller) mergedMeta(ctx context.Context) map[string]string {
	all := make(map[string]string)
	maps.Copy(all, inheritedMeta(ctx))
	maps.Copy(all, c.opts.meta)
	return all
}

// next is the innermost Handler: it makes the call.
func (in *interception) next(ctx context.Context, call *Invocation) (any, error) {
	in.ran.beginNext()
	p, failed := in.caller.do(ctx, outCall{Arguments: codec.Arguments{List: call.Args}, call: call, oneWay: in.oneWay})
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

// failed is the error of the call where the outermost Interceptor returned err. What err says of itself is user code,
// and may panic.
func (in *interception) failed(ctx context.Context, err error) *Error {
	if e, ok := err.(*Error); ok && e != nil {
		if in.ran.outcome() == No {
			return e
		}
		return e.after(&Error{Executed: Maybe}) // it may be that of one call of several
	}
	e := in.caller.newError(Application, in.ran.outcome(), err.Error())
	switch {
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
