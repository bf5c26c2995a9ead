package broach

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"broach/internal/codec"
)

// invoke runs the function on the arguments that args holds and appends its results to dst. Errors from before the
// function ran are InvalidArgument with Executed: No; all others say Yes. A panic of the function is the pool's.
func (f *function) invoke(ctx context.Context, args, dst []byte) ([]byte, *Error) {
	d, n, err := codec.OpenArguments(args)
	if err != nil {
		return nil, failure(InvalidArgument, No, "%s: malformed arguments: %v", f.sig, err)
	}
	defer d.Close()
	if fixed := len(f.params); n != fixed && !(f.isVariadic && n >= fixed-1) {
		return nil, failure(InvalidArgument, No, "%s: got %s", f.sig, someArguments(n))
	}
	return f.run(ctx, f, d, n, dst)
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
func reflectedBody(fn reflect.Value) funcBody {
	t := fn.Type()
	frames := sync.Pool{New: func() any { in := newCallFrame(t); return &in }}
	call := fn.Call
	if t.IsVariadic() {
		call = fn.CallSlice
	}
	return func(ctx context.Context, f *function, d *codec.Decoder, n int, dst []byte) ([]byte, *Error) {
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
func (f *function) fill(in callFrame, ctx context.Context, d *codec.Decoder, n int) *Error {
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
func (f *function) fillRest(v reflect.Value, d *codec.Decoder, first, n int) *Error {
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

func (f *function) badArgument(i int, err error) *Error {
	return failure(InvalidArgument, No, "argument %d of %s: %v", i+1, f.sig, err).because(err)
}

func (f *function) badResult(i int, err error) *Error {
	if errors.Is(err, codec.ErrSize) {
		return tooLarge(Yes, "results", f.most)
	}
	return failure(Internal, Yes, "result %d of %s: %v", i+1, f.sig, err).because(err)
}

// reply encodes what the function returned.
func (f *function) reply(ctx context.Context, out []reflect.Value, dst []byte) ([]byte, *Error) {
	if f.hasError {
		if err, _ := out[len(out)-1].Interface().(error); err != nil {
			return nil, f.failed(ctx, err)
		}
	}
	return f.encodeResults(out, dst)
}

// encodeResults appends the results of the function to dst. What follows them in out is not looked at.
func (f *function) encodeResults(out []reflect.Value, dst []byte) ([]byte, *Error) {
	e := codec.NewEncoder(append(dst, f.head...), len(f.results), f.most)
	for i, p := range f.results {
		if err := p.Encode(e, out[i]); err != nil {
			e.Finish()
			return nil, f.badResult(i, err)
		}
	}
	return e.Finish(), nil
}

// failed is the answer to a call whose function returned err. The methods of err are the user's: when one panics, as those of a nil
// pointer in an error do as a rule, the function has panicked.
func (f *function) failed(ctx context.Context, err error) *Error {
	answer := failure(Application, Yes, "%s", textOf(err)).because(err)
	switch made, ok := errors.AsType[*Error](err); {
	case ok && made.isMade(): // by Errorf, not from a call of this function's own
		answer.Code = made.Code.ofHandler()
	case ctx.Err() == nil || !errors.Is(err, ctx.Err()):
	case errors.Is(err, context.DeadlineExceeded):
		answer.Code = DeadlineExceeded
	case errors.Is(err, context.Canceled):
		answer.Code = Canceled
	}
	return answer
}

// textOf is the text of what a function returned. A *Error in it is told within the error of the call that it ends, which says broach,
// the code and whether the function ran: what a chain of calls came to reads once.
func textOf(err error) string {
	text := err.Error()
	e, ok := errors.AsType[*Error](err)
	for ok && e.isMade() && e.cause != nil { // by Errorf: reads as it was formatted
		e, ok = errors.AsType[*Error](e.cause)
	}
	switch {
	case !ok:
		return text
	case err == e && e.isMade():
		return e.Message
	}
	return strings.Replace(text, e.Error(), e.brief(), 1)
}
