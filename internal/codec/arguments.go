package codec

import (
	"errors"

	"broach/internal/wire"
)

// Arguments are those of one call: a list, or typed, which spares boxing each of them, or encoded before.
type Arguments struct {
	List    []any
	Typed   TypedArguments
	Encoded []byte
}

// TypedArguments encode themselves: their number, then each of them.
type TypedArguments interface {
	count() int
	List() []any             // what Interceptors see
	encode(e *Encoder) error // an error names the argument
}

// Append appends the arguments to dst. Its errors are those of appendArguments.
func (a Arguments) Append(dst []byte, most int) ([]byte, error) {
	switch {
	case a.Encoded != nil:
		return append(dst, a.Encoded...), nil
	case a.Typed == nil:
		return appendArguments(dst, most, a.List)
	}
	e := NewEncoder(dst, most)
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

// One is one argument and how it is written.
func One[A any](a A, write func(*Encoder, A) error) TypedArguments {
	return &oneArgument[A]{a, write}
}

// Two are two.
func Two[A, B any](a A, b B, writeA func(*Encoder, A) error, writeB func(*Encoder, B) error) TypedArguments {
	return &twoArguments[A, B]{a, b, writeA, writeB}
}

type oneArgument[A any] struct {
	a     A
	write func(*Encoder, A) error
}

func (o *oneArgument[A]) count() int              { return 1 }
func (o *oneArgument[A]) List() []any             { return []any{o.a} }
func (o *oneArgument[A]) encode(e *Encoder) error { return argumentError(1, o.write(e, o.a)) }

type twoArguments[A, B any] struct {
	a      A
	b      B
	writeA func(*Encoder, A) error
	writeB func(*Encoder, B) error
}

func (t *twoArguments[A, B]) count() int  { return 2 }
func (t *twoArguments[A, B]) List() []any { return []any{t.a, t.b} }

func (t *twoArguments[A, B]) encode(e *Encoder) error {
	if err := t.writeA(e, t.a); err != nil {
		return argumentError(1, err)
	}
	return argumentError(2, t.writeB(e, t.b))
}

// argumentError says which argument could not be encoded. That they are too large is said of all together.
func argumentError(n int, err error) error {
	if err == nil || errors.Is(err, ErrSize) {
		return err
	}
	return Failed(wire.InvalidArgument, wire.ExecutedNo, "argument %d: %v", n, err)
}
