package broach

import (
	"context"

	"broach/internal/codec"
)

// Functions of the commonest shapes, those of service_shapes.go, are bound without reflection: 2 allocations a call in place
// of 11. Another shape is two more lines.
func bindTyped[F any](c *Caller) (f F, ok bool) {
	switch p := any(&f).(type) {
	case *func(context.Context, int, int) (int, error):
		*p = boundBinary(c, codec.WriteInt, codec.WriteInt, codec.ReadInt)
	case *func(int, int) (int, error):
		*p = withoutContext2(boundBinary(c, codec.WriteInt, codec.WriteInt, codec.ReadInt))
	case *func(context.Context, string) (string, error):
		*p = boundUnary(c, codec.WriteString, codec.ReadString)
	case *func(string) (string, error):
		*p = withoutContext1(boundUnary(c, codec.WriteString, codec.ReadString))
	case *func(context.Context, []byte) ([]byte, error):
		*p = boundUnary(c, codec.WriteBytes, codec.ReadBytes)
	case *func([]byte) ([]byte, error):
		*p = withoutContext1(boundUnary(c, codec.WriteBytes, codec.ReadBytes))
	default:
		return f, false
	}
	return f, true
}

func withoutContext1[A, R any](f func(context.Context, A) (R, error)) func(A) (R, error) {
	return func(a A) (R, error) { return f(context.Background(), a) }
}

func withoutContext2[A, B, R any](f func(context.Context, A, B) (R, error)) func(A, B) (R, error) {
	return func(a A, b B) (R, error) { return f(context.Background(), a, b) }
}

func boundUnary[A, R any](c *Caller, write func(*codec.Encoder, A) error, read func(*codec.Decoder) (R, error)) func(context.Context, A) (R, error) {
	return func(ctx context.Context, a A) (R, error) {
		return callTyped(ctx, c, codec.One(a, write), read)
	}
}

func boundBinary[A, B, R any](
	c *Caller, writeA func(*codec.Encoder, A) error, writeB func(*codec.Encoder, B) error, read func(*codec.Decoder) (R, error),
) func(context.Context, A, B) (R, error) {
	return func(ctx context.Context, a A, b B) (R, error) {
		return callTyped(ctx, c, codec.Two(a, b, writeA, writeB), read)
	}
}

// callTyped is Call for arguments and a result that need no reflection.
func callTyped[R any](ctx context.Context, c *Caller, args codec.TypedArguments, read func(*codec.Decoder) (R, error)) (R, error) {
	if ctx == nil {
		ctx = context.Background() // as in a binding by reflection
	}
	if len(c.opts.interceptors) > 0 {
		return callIntercepted[R](ctx, c, args.List())
	}
	p, failed := c.do(ctx, outCall{Arguments: codec.Arguments{Typed: args}})
	if failed != nil {
		var none R
		return none, failed
	}
	v, err := codec.DecodeOne(p.body, read)
	c.node.freePending(p)
	if err != nil {
		return v, c.own(err)
	}
	return v, nil
}
