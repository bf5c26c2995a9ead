package function

import (
	"context"
	"reflect"

	"broach/internal/codec"
	"broach/internal/wire"
)

// A Runner runs a function on arguments as they are to a caller, and returns its results as they are to one. It calls
// begin when the arguments are found to fit.
type Runner func(ctx context.Context, args []any, begin func()) (any, error)

// Within has each call of the function go through around, which gets the arguments, and the function itself to run. It
// comes before the first call, and takes the same fn as the function was made of. What was decoded may be kept, so
// nothing of it is used again.
func (f *Func) Within(fn any, around func(ctx context.Context, args []any, run Runner) (any, error)) {
	v := reflect.ValueOf(fn)
	run := func(ctx context.Context, args []any, begin func()) (any, error) { return f.runOn(ctx, v, args, begin) }
	f.run = func(ctx context.Context, f *Func, d *codec.Decoder, n int, dst []byte) ([]byte, error) {
		in := newCallFrame(v.Type())
		if err := f.fill(in, ctx, d, n); err != nil {
			return nil, err
		}
		result, err := around(ctx, f.list(in), run)
		return f.outcome(ctx, result, err, dst)
	}
}

// list makes a list of the arguments in a callFrame, the variadic ones one by one.
func (f *Func) list(in callFrame) []any {
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

// runOn runs fn, which is the function.
func (f *Func) runOn(ctx context.Context, fn reflect.Value, args []any, begin func()) (any, error) {
	in, err := f.pack(ctx, args)
	if err != nil {
		return nil, err
	}
	begin()
	out := fn.Call(in)
	if f.hasError {
		if err, _ := out[len(out)-1].Interface().(error); err != nil {
			return nil, err
		}
	}
	return Gather(out[:len(f.results)]), nil
}

// pack is the opposite of list.
func (f *Func) pack(ctx context.Context, args []any) ([]reflect.Value, error) {
	in := make([]reflect.Value, 0, len(args)+1)
	if f.hasContext {
		in = append(in, reflect.ValueOf(ctx))
	}
	if fixed := len(f.params); len(args) != fixed && !(f.isVariadic && len(args) >= fixed-1) {
		return nil, codec.Failed(wire.Internal, wire.ExecutedNo, "%s: an Interceptor made it %s", f.sig,
			someArguments(len(args)))
	}
	for i, a := range args {
		v, ok := fit(a, f.paramType(i))
		if !ok {
			return nil, codec.Failed(wire.Internal, wire.ExecutedNo, "argument %d of %s: an Interceptor made it %s",
				i+1, f.sig, typeOfValue(a))
		}
		in = append(in, v)
	}
	return in, nil
}

// paramType is the type of the i-th argument.
func (f *Func) paramType(i int) reflect.Type {
	if last := len(f.params) - 1; f.isVariadic && i >= last {
		return f.params[last].Type.Elem()
	}
	return f.params[i].Type
}

// outcome encodes what came out of it.
func (f *Func) outcome(ctx context.Context, v any, err error, dst []byte) ([]byte, error) {
	if err != nil {
		return nil, f.failed(ctx, err)
	}
	types := make([]reflect.Type, len(f.results))
	for i, p := range f.results {
		types[i] = p.Type
	}
	out, err := Spread(v, types)
	if err != nil {
		return nil, codec.Failed(wire.Internal, wire.ExecutedYes, "%s: %v", f.sig, err)
	}
	return f.encodeResults(out, dst)
}
