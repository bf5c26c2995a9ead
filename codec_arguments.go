package broach

import (
	"errors"

	"broach/internal/wire"
)

// arguments are those of one call: a list, or typed, which spares boxing each of them, or encoded before.
type arguments struct {
	List    []any
	Typed   typedArguments
	Encoded []byte
}

// typedArguments encode themselves: their number, then each of them.
type typedArguments interface {
	count() int
	List() []any
	encode(e *encoder) error // an error names the argument
}

// Append appends the arguments to dst. Its errors are those of appendArgs.
func (a arguments) Append(dst []byte, most int) ([]byte, error) {
	switch {
	case a.Encoded != nil:
		return append(dst, a.Encoded...), nil
	case a.Typed == nil:
		return appendArgs(dst, most, a.List)
	}
	e := newEncoder(dst, 1+a.Typed.count(), most)
	err := e.m.EncodeArrayLen(a.Typed.count())
	if err == nil {
		err = a.Typed.encode(e)
	}
	b := e.Finish()
	if err != nil {
		return dst, err
	}
	return b, nil
}

// withOne is one argument and how it is written.
func withOne[A any](a A, write func(*encoder, A) error) typedArguments {
	return &oneArgument[A]{a, write}
}

// withTwo are two.
func withTwo[A, B any](a A, b B, writeA func(*encoder, A) error, writeB func(*encoder, B) error) typedArguments {
	return &twoArguments[A, B]{a, b, writeA, writeB}
}

type oneArgument[A any] struct {
	a     A
	write func(*encoder, A) error
}

func (o *oneArgument[A]) count() int              { return 1 }
func (o *oneArgument[A]) List() []any             { return []any{o.a} }
func (o *oneArgument[A]) encode(e *encoder) error { return argumentError(1, o.write(e, o.a)) }

type twoArguments[A, B any] struct {
	a      A
	b      B
	writeA func(*encoder, A) error
	writeB func(*encoder, B) error
}

func (t *twoArguments[A, B]) count() int  { return 2 }
func (t *twoArguments[A, B]) List() []any { return []any{t.a, t.b} }

func (t *twoArguments[A, B]) encode(e *encoder) error {
	if err := t.writeA(e, t.a); err != nil {
		return argumentError(1, err)
	}
	return argumentError(2, t.writeB(e, t.b))
}

// argumentError says which argument could not be encoded. That they are too large is said of all together.
func argumentError(n int, err error) error {
	if err == nil || errors.Is(err, errSize) {
		return err
	}
	return failed(wire.InvalidArgument, wire.ExecutedNo, "argument %d: %v", n, err)
}
