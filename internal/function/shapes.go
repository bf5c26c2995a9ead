package function

import (
	"context"

	"broach/internal/codec"
)

// A shape is what functions of one of the commonest types are called by, without reflection.
type shape interface {
	run(ctx context.Context, f *Func, d *codec.Decoder, n int, dst []byte) ([]byte, error)
	within(around Around) body
}

// A Shape is that of all functions with the same parameters and result, with or without a context and an error.
type Shape struct {
	of func(fn any) shape // nil for another function
}

// Functions of the commonest shapes are called without reflection.
// The table holds them all; another shape is another line.
var shapes = []Shape{
	{func(fn any) shape { return binaryShape(fn, codec.ReadInt, codec.ReadInt, codec.WriteInt) }},
	Unary(codec.ReadString, codec.WriteString),
	Unary(codec.ReadBytes, codec.WriteBytes),
}

// Unary is the Shape of functions with one parameter, which is read so, and one result, which is written so.
func Unary[A, R any](read func(*codec.Decoder) (A, error), write func(*codec.Encoder, R) error) Shape {
	return Shape{func(fn any) shape { return unaryShape(fn, read, write) }}
}

// shapeOf returns nil for a function of no such shape.
func shapeOf(fn any, given []Shape) shape {
	for _, list := range [][]Shape{shapes, given} {
		for _, s := range list {
			if s := s.of(fn); s != nil {
				return s
			}
		}
	}
	return nil
}

// unary is a function of one argument.
type unary[A, R any] struct {
	call  func(context.Context, A) (R, error)
	read  func(*codec.Decoder) (A, error)
	write func(*codec.Encoder, R) error
}

func unaryShape[A, R any](fn any, read func(*codec.Decoder) (A, error), write func(*codec.Encoder, R) error) shape {
	u := &unary[A, R]{read: read, write: write}
	switch fn := fn.(type) {
	case func(A) R:
		u.call = func(_ context.Context, a A) (R, error) { return fn(a), nil }
	case func(A) (R, error):
		u.call = func(_ context.Context, a A) (R, error) { return fn(a) }
	case func(context.Context, A) R:
		u.call = func(ctx context.Context, a A) (R, error) { return fn(ctx, a), nil }
	case func(context.Context, A) (R, error):
		u.call = fn
	default:
		return nil
	}
	return u
}

func (u *unary[A, R]) run(ctx context.Context, f *Func, d *codec.Decoder, _ int, dst []byte) ([]byte, error) {
	a, err := u.read(d)
	if err != nil {
		return nil, f.badArgument(0, err)
	}
	r, err := u.call(ctx, a)
	return typedReply(ctx, f, d, dst, r, err, u.write)
}

func (u *unary[A, R]) within(around Around) body {
	return func(ctx context.Context, f *Func, d *codec.Decoder, _ int, dst []byte) ([]byte, error) {
		a, err := u.read(d)
		if err != nil {
			return nil, f.badArgument(0, err)
		}
		v, err := around(ctx, &unaryCall[A, R]{u, f, a})
		return typedOutcome(ctx, f, d, dst, v, err, u.write)
	}
}

// unaryCall is a Call of a unary.
type unaryCall[A, R any] struct {
	*unary[A, R]
	f *Func
	a A
}

func (c *unaryCall[A, R]) List() []any { return []any{c.a} }

func (c *unaryCall[A, R]) Run(ctx context.Context, begin func()) (any, error) {
	begin()
	return boxed(c.call(ctx, c.a))
}

func (c *unaryCall[A, R]) RunOn(ctx context.Context, args []any, begin func()) (any, error) {
	if err := c.f.checkCount(args); err != nil {
		return nil, err
	}
	a, err := typedArgument[A](c.f, 0, args[0])
	if err != nil {
		return nil, err
	}
	begin()
	return boxed(c.call(ctx, a))
}

// boxed is what a function returned, as it is to a caller: a result beside an error is none.
func boxed[R any](r R, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return r, nil
}

// binary is a function of two arguments.
type binary[A, B, R any] struct {
	call  func(context.Context, A, B) (R, error)
	readA func(*codec.Decoder) (A, error)
	readB func(*codec.Decoder) (B, error)
	write func(*codec.Encoder, R) error
}

func binaryShape[A, B, R any](
	fn any, readA func(*codec.Decoder) (A, error), readB func(*codec.Decoder) (B, error),
	write func(*codec.Encoder, R) error,
) shape {
	s := &binary[A, B, R]{readA: readA, readB: readB, write: write}
	switch fn := fn.(type) {
	case func(A, B) R:
		s.call = func(_ context.Context, a A, b B) (R, error) { return fn(a, b), nil }
	case func(A, B) (R, error):
		s.call = func(_ context.Context, a A, b B) (R, error) { return fn(a, b) }
	case func(context.Context, A, B) R:
		s.call = func(ctx context.Context, a A, b B) (R, error) { return fn(ctx, a, b), nil }
	case func(context.Context, A, B) (R, error):
		s.call = fn
	default:
		return nil
	}
	return s
}

func (s *binary[A, B, R]) arguments(f *Func, d *codec.Decoder) (a A, b B, err error) {
	if a, err = s.readA(d); err != nil {
		return a, b, f.badArgument(0, err)
	}
	if b, err = s.readB(d); err != nil {
		return a, b, f.badArgument(1, err)
	}
	return a, b, nil
}

func (s *binary[A, B, R]) run(ctx context.Context, f *Func, d *codec.Decoder, _ int, dst []byte) ([]byte, error) {
	a, b, err := s.arguments(f, d)
	if err != nil {
		return nil, err
	}
	r, err := s.call(ctx, a, b)
	return typedReply(ctx, f, d, dst, r, err, s.write)
}

func (s *binary[A, B, R]) within(around Around) body {
	return func(ctx context.Context, f *Func, d *codec.Decoder, _ int, dst []byte) ([]byte, error) {
		a, b, err := s.arguments(f, d)
		if err != nil {
			return nil, err
		}
		v, err := around(ctx, &binaryCall[A, B, R]{s, f, a, b})
		return typedOutcome(ctx, f, d, dst, v, err, s.write)
	}
}

// binaryCall is a Call of a binary.
type binaryCall[A, B, R any] struct {
	*binary[A, B, R]
	f *Func
	a A
	b B
}

func (c *binaryCall[A, B, R]) List() []any { return []any{c.a, c.b} }

func (c *binaryCall[A, B, R]) Run(ctx context.Context, begin func()) (any, error) {
	begin()
	return boxed(c.call(ctx, c.a, c.b))
}

func (c *binaryCall[A, B, R]) RunOn(ctx context.Context, args []any, begin func()) (any, error) {
	if err := c.f.checkCount(args); err != nil {
		return nil, err
	}
	a, err := typedArgument[A](c.f, 0, args[0])
	if err != nil {
		return nil, err
	}
	b, err := typedArgument[B](c.f, 1, args[1])
	if err != nil {
		return nil, err
	}
	begin()
	return boxed(c.call(ctx, a, b))
}

// typedReply is reply without reflection.
func typedReply[R any](
	ctx context.Context, f *Func, d *codec.Decoder, dst []byte, r R, err error, write func(*codec.Encoder, R) error,
) ([]byte, error) {
	if err != nil {
		return nil, f.failed(ctx, err)
	}
	b, err := codec.WriteLast(codec.NewEncoder(append(dst, f.head...), f.Most), d, r, write)
	if err != nil {
		return nil, f.badResult(0, err)
	}
	return b, nil
}
