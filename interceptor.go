package broach

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
)

// Handler goes on with a call: to the next Interceptor, and at last to the call itself.
type Handler func(ctx context.Context, call *Invocation) (any, error)

// Interceptor stands between a call and what it does: it may look at the call and change it, let it go on with next or not, and look at the
// outcome and change that. It runs for many calls at once. Those of the caller are given by Config.CallInterceptors and [CallInterceptors],
// those of the provider by Config.ServeInterceptors and [ServeInterceptors]; of several the first is outermost.
//
// At the caller, ctx ends with the call's deadline. Args are what is to be sent and Meta what goes along, both may be changed until next is
// called. next makes the call, with its retries, and returns the result as the caller wants it: as Call does, for Call[R] as an R, for Send nil.
// What the outermost Interceptor returns must be such a result, else the call fails with Internal. Its error becomes an *Error, if it is
// none: DeadlineExceeded or Canceled if it is that of ctx, else Application, with the error itself to be found by errors.Is and errors.As.
//
// At the provider, ctx is that of the function: what is put into it arrives there. Args are the arguments in the types that the function
// declares, without the context, and may be replaced by others that can be assigned to these; Meta, too, may be changed for the function.
// next runs the function and returns its result as Call does, but in the declared types, and its error as it is. What the outermost
// Interceptor returns is encoded as the function's results and error: those that do not fit are Internal.
//
// To refuse a call, return an error without calling next: its Executed is No, so the caller may call again. [Errorf] says with which code:
// with Overloaded or Unavailable the caller asks another provider, with Unauthenticated it does not. next may be called again when it has
// returned, and is an error after the Interceptor has. A panic is Internal, and takes down nothing but the call.
type Interceptor func(ctx context.Context, call *Invocation, next Handler) (any, error)

var (
	errNilInterceptor = errors.New("an Interceptor is nil")
	errNextLate       = &Error{Code: Canceled, Message: "next was called after the Interceptor had returned", Executed: No}
	errNextNil        = &Error{Code: InvalidArgument, Message: "next was called without a context or an Invocation", Executed: No}
)

// CallInterceptors adds Interceptors to the calls of a Caller, within those of Config.CallInterceptors and of earlier options.
func CallInterceptors(list ...Interceptor) CallOption {
	return func(o *callOptions) {
		if hasNil(list) {
			o.wrong = append(o.wrong, errNilInterceptor)
			return
		}
		o.interceptors = slices.Concat(o.interceptors, list) // another Caller may have the old ones
	}
}

// ServeInterceptors adds Interceptors to all calls of the function, by peers and by this process, within those of
// Config.ServeInterceptors and of earlier options.
func ServeInterceptors(list ...Interceptor) RegisterOption {
	return func(r *registered) {
		if hasNil(list) {
			r.wrong = append(r.wrong, errNilInterceptor)
			return
		}
		r.interceptors = slices.Concat(r.interceptors, list)
	}
}

func hasNil(list []Interceptor) bool {
	return slices.ContainsFunc(list, func(i Interceptor) bool { return i == nil })
}

// chain puts Interceptors around a Handler, the first of them outermost.
func chain(list []Interceptor, h Handler) Handler {
	for _, i := range slices.Backward(list) {
		h = around(i, h)
	}
	return h
}

// around puts one Interceptor around a Handler, which it can reach only while it runs.
func around(i Interceptor, next Handler) Handler {
	return func(ctx context.Context, call *Invocation) (any, error) {
		var returned atomic.Bool
		defer returned.Store(true)
		return i(ctx, call, func(ctx context.Context, call *Invocation) (any, error) {
			switch {
			case returned.Load():
				return nil, errNextLate
			case ctx == nil || call == nil:
				return nil, errNextNil
			}
			return next(ctx, call)
		})
	}
}
