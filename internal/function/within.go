package function

import (
	"context"
	"reflect"

	"broach/internal/codec"
	"broach/internal/wire"
)

// A Call is one call of a function on its way through what stands around it. Its arguments are boxed only if somebody
// asks for them.
type Call interface {
	// List makes a list of the arguments, as they are to a caller.
	List() []any
	// Run runs the function and returns its results as they are to a caller. It calls begin before.
	Run(ctx context.Context, begin func()) (any, error)
	// RunOn is Run with other arguments. It calls begin when these are found to fit.
	RunOn(ctx context.Context, args []any, begin func()) (any, error)
}

// Around stands around each call of a function. It may keep the Call and all that this gives it.
type Around func(ctx context.Context, c Call) (any, error)

// Within has each call of the function go through around. It comes before the first call, and takes the same fn as the
// function was made of. What was decoded may be kept, so nothing of it is used again, and nothing lent.
func (f *Func) Within(fn any, around Around) {
	f.borrows = false
	if f.Streams() {
		f.around = around
		return
	}
	if f.shape != nil {
		f.run = f.shape.within(around)
		return
	}
	f.run = reflectedWithin(reflect.ValueOf(fn), around)
}

// reflectedWithin calls any function.
func reflectedWithin(fn reflect.Value, around Around) body {
	return func(ctx context.Context, f *Func, d *codec.Decoder, n int, dst []byte) ([]byte, error) {
		c := &reflectedCall{f: f, fn: fn, in: newCallFrame(fn.Type())}
		if err := f.fill(c.in, ctx, d, n); err != nil {
			return nil, err
		}
		v, err := around(ctx, c)
		return f.outcome(ctx, v, err, dst)
	}
}

// reflectedCall is a Call of any function.
type reflectedCall struct {
	f  *Func
	fn reflect.Value
	in callFrame
}

// List has the variadic arguments one by one.
func (c *reflectedCall) List() []any {
	in := c.in
	if c.f.hasContext {
		in = in[1:]
	}
	args := make([]any, 0, len(in))
	for i, v := range in {
		if !c.f.isVariadic || i < len(in)-1 {
			args = append(args, v.Interface())
			continue
		}
		for j := range v.Len() {
			args = append(args, v.Index(j).Interface())
		}
	}
	return args
}

func (c *reflectedCall) Run(ctx context.Context, begin func()) (any, error) {
	return c.RunOn(ctx, c.List(), begin)
}

func (c *reflectedCall) RunOn(ctx context.Context, args []any, begin func()) (any, error) {
	in, err := c.pack(ctx, args)
	if err != nil {
		return nil, err
	}
	begin()
	out := c.fn.Call(in)
	if c.f.hasError {
		if err, _ := out[len(out)-1].Interface().(error); err != nil {
			return nil, err
		}
	}
	return Gather(out[:len(c.f.results)]), nil
}

// pack is the opposite of List.
func (c *reflectedCall) pack(ctx context.Context, args []any) ([]reflect.Value, error) {
	in := make([]reflect.Value, 0, len(args)+1)
	if c.f.hasContext {
		in = append(in, reflect.ValueOf(ctx))
	}
	if err := c.f.checkCount(args); err != nil {
		return nil, err
	}
	for i, a := range args {
		v, err := c.f.fitArgument(i, a)
		if err != nil {
			return nil, err
		}
		in = append(in, v)
	}
	return in, nil
}

// checkCount is the error of arguments that are too many or too few.
func (f *Func) checkCount(args []any) error {
	fixed := len(f.params)
	if f.in != nil {
		fixed++
	}
	if len(args) != fixed && !(f.isVariadic && len(args) >= fixed-1) {
		return codec.Failed(wire.Internal, wire.ExecutedNo, "%s: an Interceptor made it %s", f.sig,
			someArguments(len(args)))
	}
	return nil
}

// fitArgument makes the i-th argument of a value.
func (f *Func) fitArgument(i int, a any) (reflect.Value, error) {
	v, ok := fit(a, f.paramType(i))
	if !ok {
		return v, codec.Failed(wire.Internal, wire.ExecutedNo, "argument %d of %s: an Interceptor made it %s",
			i+1, f.sig, typeOfValue(a))
	}
	return v, nil
}

// typedArgument is fitArgument for a type that is known.
func typedArgument[A any](f *Func, i int, v any) (a A, err error) {
	if a, ok := v.(A); ok {
		return a, nil
	}
	x, err := f.fitArgument(i, v)
	if err != nil {
		return a, err
	}
	return x.Interface().(A), nil
}

// paramType is the type of the i-th argument.
func (f *Func) paramType(i int) reflect.Type {
	switch last := len(f.params) - 1; {
	case f.isVariadic && i >= last:
		return f.params[last].Type.Elem()
	case i > last:
		return f.in.Type
	}
	return f.params[i].Type
}

// outcome encodes what came out of it.
func (f *Func) outcome(ctx context.Context, v any, err error, dst []byte) ([]byte, error) {
	if err != nil {
		return nil, f.failed(ctx, err)
	}
	out, err := Spread(v, typesOfPlans(f.results))
	if err != nil {
		return nil, codec.Failed(wire.Internal, wire.ExecutedYes, "%s: %v", f.sig, err)
	}
	return f.encodeResults(out, dst)
}

// typedOutcome is outcome without reflection, where what came out has the type of the result.
func typedOutcome[R any](
	ctx context.Context, f *Func, d *codec.Decoder, dst []byte, v any, err error, write func(*codec.Encoder, R) error,
) ([]byte, error) {
	r, ok := v.(R)
	if err == nil && !ok {
		return f.outcome(ctx, v, nil, dst)
	}
	return typedReply(ctx, f, d, dst, r, err, write)
}
