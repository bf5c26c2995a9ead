package function

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"

	"broach/internal/codec"
	"broach/internal/stream"
	"broach/internal/wire"
)

// Invoke runs the function on the arguments that args holds and appends its results to dst. Errors from before the
// function ran are InvalidArgument with Executed: No; all others say Yes. They are a *codec.Error or what Explain
// returned. A panic of the function is the pool's. What streams are is over when Invoke returns.
func (f *Func) Invoke(ctx context.Context, args, dst []byte, s *stream.Pair) ([]byte, error) {
	b, _, err := f.InvokeLent(ctx, args, dst, s, false)
	return b, err
}

// InvokeLent is Invoke for args that, if leaves says so, stay as they are until the results have been sent: what comes
// behind them may be a part of args, the tail.
func (f *Func) InvokeLent(
	ctx context.Context, args, dst []byte, s *stream.Pair, leaves bool,
) (b, tail []byte, err error) {
	if s != nil || f.run == nil {
		if err := f.checkStreams(s); err != nil {
			return nil, nil, err
		}
	}
	d, n, err := codec.OpenArguments(args)
	if err != nil {
		return nil, nil, codec.Failed(wire.InvalidArgument, wire.ExecutedNo, "%s: malformed arguments: %v", f.sig, err)
	}
	defer d.Close()
	if f.borrows {
		d.Lend()
	}
	if fixed := len(f.params); n != fixed && !(f.isVariadic && n >= fixed-1) {
		return nil, nil, codec.Failed(wire.InvalidArgument, wire.ExecutedNo, "%s: got %s", f.sig, someArguments(n))
	}
	if f.run == nil {
		b, err = f.runStreaming(ctx, d, n, dst, s)
		return b, nil, err
	}
	if leaves {
		d.Leave()
	}
	b, err = f.run(ctx, f, d, n, dst)
	return b, d.Left(), err
}

// someArguments is how many arguments there are, in words.
func someArguments(n int) string {
	if n == 1 {
		return "1 argument"
	}
	return fmt.Sprintf("%d arguments", n)
}

// A callFrame holds the arguments of one call of a function by reflection. It is used again: reflect.Call copies.
type callFrame []reflect.Value

func newCallFrame(t reflect.Type) callFrame {
	in := make(callFrame, t.NumIn())
	for i := range in {
		in[i] = reflect.New(t.In(i)).Elem()
	}
	return in
}

// reflectedBody calls any function.
func reflectedBody(fn reflect.Value) body {
	t := fn.Type()
	frames := sync.Pool{New: func() any { in := newCallFrame(t); return &in }}
	call := fn.Call
	if t.IsVariadic() {
		call = fn.CallSlice
	}
	return func(ctx context.Context, f *Func, d *codec.Decoder, n int, dst []byte) ([]byte, error) {
		in := frames.Get().(*callFrame)
		defer frames.Put(in)
		defer in.clear()
		if err := f.fill(*in, ctx, d, n); err != nil {
			return nil, err
		}
		return f.reply(ctx, call(*in), dst)
	}
}

func (in *callFrame) clear() {
	for _, v := range *in {
		v.SetZero()
	}
}

// fill decodes n arguments into a callFrame.
func (f *Func) fill(in callFrame, ctx context.Context, d *codec.Decoder, n int) error {
	if f.hasContext {
		in[0].Set(reflect.ValueOf(ctx))
		in = in[1:]
	}
	for i, p := range f.params {
		if f.isVariadic && i == len(f.params)-1 {
			return f.fillRest(in[i], d, i, n)
		}
		if err := p.Decode(d, in[i]); err != nil {
			return f.badArgument(i, err)
		}
	}
	return nil
}

// fillRest collects the arguments from first to n for a variadic function.
func (f *Func) fillRest(v reflect.Value, d *codec.Decoder, first, n int) error {
	elem := codec.PlanOf(v.Type().Elem())
	if err := d.Charge(n-first, elem.Type); err != nil {
		return f.badArgument(first, err)
	}
	v.Set(reflect.MakeSlice(v.Type(), n-first, n-first))
	for i := range v.Len() {
		if err := elem.Decode(d, v.Index(i)); err != nil {
			return f.badArgument(first+i, err)
		}
	}
	return nil
}

func (f *Func) badArgument(i int, err error) error {
	return codec.Failed(wire.InvalidArgument, wire.ExecutedNo, "argument %d of %s: %v", i+1, f.sig, err).Because(err)
}

func (f *Func) badResult(i int, err error) error {
	if errors.Is(err, codec.ErrSize) {
		return codec.TooLarge(wire.ExecutedYes, "results", f.Most)
	}
	return codec.Failed(wire.Internal, wire.ExecutedYes, "result %d of %s: %v", i+1, f.sig, err).Because(err)
}

// reply encodes what the function returned.
func (f *Func) reply(ctx context.Context, out []reflect.Value, dst []byte) ([]byte, error) {
	if f.hasError {
		if err, _ := out[len(out)-1].Interface().(error); err != nil {
			return nil, f.failed(ctx, err)
		}
	}
	return f.encodeResults(out, dst)
}

// encodeResults appends the results of the function to dst. What follows them in out is not looked at.
func (f *Func) encodeResults(out []reflect.Value, dst []byte) ([]byte, error) {
	e := codec.NewEncoder(append(dst, f.head...), f.Most)
	for i, p := range f.results {
		if err := p.Encode(e, out[i]); err != nil {
			e.Finish()
			return nil, f.badResult(i, err)
		}
	}
	return e.Finish(), nil
}

// failed is the answer to a call whose function returned err.
func (f *Func) failed(ctx context.Context, err error) error {
	if f.Explain != nil {
		return f.Explain(ctx, err)
	}
	return codec.Failed(wire.Application, wire.ExecutedYes, "%s", err.Error()).Because(err)
}
