package function

import (
	"context"

	"broach/internal/codec"
)

// Functions of the commonest shapes are called without reflection, with or without a context and an error.
// The table holds them all; another shape is another line.
var shapes = []func(fn any) body{
	func(fn any) body { return binaryBody(fn, codec.ReadInt, codec.ReadInt, codec.WriteInt) },
	func(fn any) body { return unaryBody(fn, codec.ReadString, codec.WriteString) },
	func(fn any) body { return unaryBody(fn, codec.ReadBytes, codec.WriteBytes) },
}

// typedBody returns nil for a function of no such shape.
func typedBody(fn any) body {
	for _, shape := range shapes {
		if b := shape(fn); b != nil {
			return b
		}
	}
	return nil
}

func unaryBody[A, R any](fn any, read func(*codec.Decoder) (A, error), write func(*codec.Encoder, R) error) body {
	var call func(context.Context, A) (R, error)
	switch fn := fn.(type) {
	case func(A) R:
		call = func(_ context.Context, a A) (R, error) { return fn(a), nil }
	case func(A) (R, error):
		call = func(_ context.Context, a A) (R, error) { return fn(a) }
	case func(context.Context, A) R:
		call = func(ctx context.Context, a A) (R, error) { return fn(ctx, a), nil }
	case func(context.Context, A) (R, error):
		call = fn
	default:
		return nil
	}
	return func(ctx context.Context, f *Func, d *codec.Decoder, _ int, dst []byte) ([]byte, error) {
		a, err := read(d)
		if err != nil {
			return nil, f.badArgument(0, err)
		}
		r, err := call(ctx, a)
		return typedReply(ctx, f, dst, r, err, write)
	}
}

func binaryBody[A, B, R any](
	fn any, readA func(*codec.Decoder) (A, error), readB func(*codec.Decoder) (B, error),
	write func(*codec.Encoder, R) error,
) body {
	var call func(context.Context, A, B) (R, error)
	switch fn := fn.(type) {
	case func(A, B) R:
		call = func(_ context.Context, a A, b B) (R, error) { return fn(a, b), nil }
	case func(A, B) (R, error):
		call = func(_ context.Context, a A, b B) (R, error) { return fn(a, b) }
	case func(context.Context, A, B) R:
		call = func(ctx context.Context, a A, b B) (R, error) { return fn(ctx, a, b), nil }
	case func(context.Context, A, B) (R, error):
		call = fn
	default:
		return nil
	}
	return func(ctx context.Context, f *Func, d *codec.Decoder, _ int, dst []byte) ([]byte, error) {
		a, err := readA(d)
		if err != nil {
			return nil, f.badArgument(0, err)
		}
		b, err := readB(d)
		if err != nil {
			return nil, f.badArgument(1, err)
		}
		r, err := call(ctx, a, b)
		return typedReply(ctx, f, dst, r, err, write)
	}
}

// typedReply is reply without reflection.
func typedReply[R any](
	ctx context.Context, f *Func, dst []byte, r R, err error, write func(*codec.Encoder, R) error,
) ([]byte, error) {
	if err != nil {
		return nil, f.failed(ctx, err)
	}
	e := codec.NewEncoder(append(dst, f.head...), f.Most)
	if err := write(e, r); err != nil {
		e.Finish()
		return nil, f.badResult(0, err)
	}
	return e.Finish(), nil
}
