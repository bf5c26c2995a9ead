package broach

import (
	"context"
	"maps"
	"reflect"

	"broach/internal/codec"
)

// serving is one call on its way through the Interceptors of its function.
type serving struct {
	*function
	request *request
	fn      reflect.Value
}

// intercept makes the function run within its Interceptors, if it has any. It is called before the function is offered.
func (f *function) intercept(fn any) {
	if len(f.interceptors) > 0 {
		f.run = interceptedBody(reflect.ValueOf(fn))
	}
}

// needsRequest reports that somebody may ask for the Invocation and the context of a call.
func (f *function) needsRequest() bool { return f.hasContext || len(f.interceptors) > 0 }

// interceptedBody calls any function, through its Interceptors. What was decoded may be kept by them, so nothing of it is used again.
func interceptedBody(fn reflect.Value) funcBody {
	return func(ctx context.Context, f *function, d *codec.Decoder, n int, dst []byte) ([]byte, *Error) {
		in := newCallFrame(fn.Type())
		if err := f.fill(in, ctx, d, n); err != nil {
			return nil, err
		}
		s := serving{function: f, request: ctx.Value(requestKey{}).(*request), fn: fn}
		v, err := chain(f.interceptors, s.next)(ctx, s.invocation(in))
		b, failed := s.outcome(ctx, v, err, dst)
		if failed != nil && !s.request.began.Load() {
			failed.Executed = No
		}
		return b, failed
	}
}

// invocation is the call as the Interceptors see it.
func (s *serving) invocation(in callFrame) *Invocation {
	meta := make(map[string]string)
	maps.Copy(meta, s.request.meta) // which other subscribers of an event have too
	return &Invocation{Service: s.name, From: s.request.from(), Meta: meta, Args: s.list(in)}
}

// list makes a list of the arguments in a callFrame, the variadic ones one by one.
func (f *function) list(in callFrame) []any {
	if f.hasContext {
		in = in[1:]
	}
	args := make([]any, 0, len(in))
	for i, v := range in {
		if !f.isVariadic || i < len(in)-1 {
			args = append(args, v.Interface())
			continue
		}
		for j := range v.Len() {
			args = append(args, v.Index(j).Interface())
		}
	}
	return args
}

// next is the innermost Handler: it runs the function.
func (s *serving) next(ctx context.Context, call *Invocation) (any, error) {
	in, failed := s.pack(ctx, call.Args)
	if failed != nil {
		return nil, failed
	}
	s.request.meta = call.Meta
	s.request.began.Store(true)
	out := s.fn.Call(in)
	if s.hasError {
		if err, _ := out[len(out)-1].Interface().(error); err != nil {
			return nil, err
		}
	}
	return gather(out[:len(s.results)]), nil
}

// pack is the opposite of list.
func (f *function) pack(ctx context.Context, args []any) ([]reflect.Value, *Error) {
	in := make([]reflect.Value, 0, len(args)+1)
	if f.hasContext {
		in = append(in, reflect.ValueOf(ctx))
	}
	if fixed := len(f.params); len(args) != fixed && !(f.isVariadic && len(args) >= fixed-1) {
		return nil, failure(Internal, No, "%s: an Interceptor made it %s", f.sig, someArguments(len(args)))
	}
	for i, a := range args {
		v, ok := fit(a, f.paramType(i))
		if !ok {
			return nil, failure(Internal, No, "argument %d of %s: an Interceptor made it %s", i+1, f.sig, typeOfValue(a))
		}
		in = append(in, v)
	}
	return in, nil
}

// paramType is the type of the i-th argument.
func (f *function) paramType(i int) reflect.Type {
	if last := len(f.params) - 1; f.isVariadic && i >= last {
		return f.params[last].Type.Elem()
	}
	return f.params[i].Type
}

// outcome encodes what came out of the outermost Interceptor.
func (s *serving) outcome(ctx context.Context, v any, err error, dst []byte) ([]byte, *Error) {
	if err != nil {
		return nil, s.failed(ctx, err)
	}
	types := make([]reflect.Type, len(s.results))
	for i, p := range s.results {
		types[i] = p.Type
	}
	out, err := spread(v, types)
	if err != nil {
		return nil, failure(Internal, Yes, "%s: %v", s.sig, err)
	}
	return s.encodeResults(out, dst)
}
