package codec

import (
	"errors"
	"hash/maphash"
	"reflect"
	"slices"
	"sync"

	"broach/internal/buffer"
	"broach/internal/wire"
)

// Arguments are those of one call: a list, or typed, which spares boxing each of them, or encoded before.
type Arguments struct {
	List    []any
	Typed   TypedArguments
	Encoded []byte
	Streams *Streaming // beside them; nil: it does not
}

// Streaming is how a call streams.
type Streaming struct {
	In  reflect.Type // items that go along with the arguments; nil: none do
	Out bool         // its results do
}

// TypedArguments encode themselves: their number, then each of them.
type TypedArguments interface {
	count() int
	List() []any // what Interceptors see
	// encode writes them, the last as lends says of bytes. An error names the argument
	encode(e *Encoder, lends bool) error

	// Free gives them up: their memory is used for another call, in place of an allocation for each. So who frees them
	// must be sure that nobody encodes them any more, nor will; who is not leaves them to the collector.
	Free()
}

// Append appends the arguments to dst. An error is an InvalidArgument that names the argument, or ErrSize where dst
// would have to grow by more than most bytes.
func (a Arguments) Append(dst []byte, most int) ([]byte, error) {
	b, _, err := a.append(dst, most, false)
	return b, err
}

// AppendTo is Append for who sends the arguments before his caller can change them: large bytes at their end become the
// tail, which comes behind the rest.
func (a *Arguments) AppendTo(dst *buffer.Buffer, most int) (err error) {
	dst.B, dst.Tail, err = a.append(dst.B, most, true)
	return err
}

func (a *Arguments) append(dst []byte, most int, lends bool) (b, tail []byte, err error) {
	if a.Encoded != nil {
		return append(dst, a.Encoded...), nil, nil
	}
	e := NewEncoder(dst, most)
	if a.Typed == nil {
		err = e.list(a.List, lends)
	} else if err = e.m.EncodeArrayLen(a.Typed.count()); err == nil {
		err = a.Typed.encode(e, lends)
	}
	tail = e.tail
	b = e.Finish()
	if err != nil {
		return dst, nil, err
	}
	return b, tail, nil
}

// shapes is what the numbers of shapes begin with.
var shapes = maphash.MakeSeed()

// Values are the arguments, but typed ones that are plain, and those that are encoded. They are not to be kept, nor
// written to.
func (a *Arguments) Values() []any {
	if l, ok := a.Typed.(*listed); ok {
		return l.args
	}
	return a.List
}

// Shape is a number for the types of the arguments, the same for the same types however they come, and for how the call
// streams: by it a caller remembers which functions they do not fit. A nil pointer has a type of its own, for it fits
// where others do not. Arguments that are encoded have none, 0.
func (a Arguments) Shape() uint64 {
	list := a.List
	switch {
	case a.Encoded != nil:
		return 0
	case a.Typed != nil:
		list = a.Typed.List()
	}
	var h maphash.Hash
	h.SetSeed(shapes)
	if a.Streams != nil {
		maphash.WriteComparable(&h, *a.Streams)
	}
	for _, v := range list {
		h.WriteByte(',') // a nil writes nothing
		maphash.WriteComparable(&h, reflect.TypeOf(v))
		if p := reflect.ValueOf(v); p.Kind() == reflect.Pointer && p.IsNil() {
			h.WriteByte('0')
		}
	}
	return h.Sum64()
}

// Ones make the one argument of calls, and know how it is written. They may be used by many goroutines at once.
type Ones[A any] struct {
	write func(*Encoder, A) error
	freed sync.Pool // of *oneArgument[A]
}

// NewOnes makes them.
func NewOnes[A any](write func(*Encoder, A) error) *Ones[A] { return &Ones[A]{write: write} }

// Of is one argument.
func (s *Ones[A]) Of(a A) TypedArguments {
	o, ok := s.freed.Get().(*oneArgument[A])
	if !ok {
		o = &oneArgument[A]{of: s}
	}
	o.a = a
	return o
}

// Twos make two arguments.
type Twos[A, B any] struct {
	writeA func(*Encoder, A) error
	writeB func(*Encoder, B) error
	freed  sync.Pool // of *twoArguments[A, B]
}

// NewTwos makes them.
func NewTwos[A, B any](writeA func(*Encoder, A) error, writeB func(*Encoder, B) error) *Twos[A, B] {
	return &Twos[A, B]{writeA: writeA, writeB: writeB}
}

// Of are two arguments.
func (s *Twos[A, B]) Of(a A, b B) TypedArguments {
	t, ok := s.freed.Get().(*twoArguments[A, B])
	if !ok {
		t = &twoArguments[A, B]{of: s}
	}
	t.a, t.b = a, b
	return t
}

type oneArgument[A any] struct {
	a  A
	of *Ones[A]
}

func (o *oneArgument[A]) count() int  { return 1 }
func (o *oneArgument[A]) List() []any { return []any{o.a} }

func (o *oneArgument[A]) encode(e *Encoder, lends bool) error {
	e.lends = lends
	return argumentError(1, o.of.write(e, o.a))
}

func (o *oneArgument[A]) Free() {
	*o = oneArgument[A]{of: o.of}
	o.of.freed.Put(o)
}

type twoArguments[A, B any] struct {
	a  A
	b  B
	of *Twos[A, B]
}

func (t *twoArguments[A, B]) count() int  { return 2 }
func (t *twoArguments[A, B]) List() []any { return []any{t.a, t.b} }

func (t *twoArguments[A, B]) encode(e *Encoder, lends bool) error {
	if err := t.of.writeA(e, t.a); err != nil {
		return argumentError(1, err)
	}
	e.lends = lends
	return argumentError(2, t.of.writeB(e, t.b))
}

func (t *twoArguments[A, B]) Free() {
	*t = twoArguments[A, B]{of: t.of}
	t.of.freed.Put(t)
}

// listKept is how many arguments at most a list has whose memory is used again.
const listKept = 64

var lists = sync.Pool{New: func() any { return new(listed) }}

// listed is a list of arguments.
type listed struct{ args []any }

// Listed is a copy of a list: so the list itself can stay on the stack of who calls with it.
func Listed(args []any) TypedArguments {
	l := lists.Get().(*listed)
	l.args = append(l.args, args...)
	return l
}

func (l *listed) count() int  { return len(l.args) }
func (l *listed) List() []any { return slices.Clone(l.args) }

func (l *listed) encode(e *Encoder, lends bool) error { return encodeList(e, l.args, lends) }

func (l *listed) Free() {
	clear(l.args)
	if l.args = l.args[:0]; cap(l.args) <= listKept {
		lists.Put(l)
	}
}

// list encodes arguments with their number.
func (e *Encoder) list(args []any, lends bool) error {
	if err := e.m.EncodeArrayLen(len(args)); err != nil {
		return err
	}
	return encodeList(e, args, lends)
}

// encodeList encodes arguments one after the other.
func encodeList(e *Encoder, args []any, lends bool) error {
	for i, a := range args {
		e.lends = lends && i == len(args)-1
		if err := e.value(a); err != nil {
			return argumentError(i+1, err)
		}
	}
	return nil
}

// argumentError says which argument could not be encoded. That they are too large is said of all together.
func argumentError(n int, err error) error {
	if err == nil || errors.Is(err, ErrSize) {
		return err
	}
	return Failed(wire.InvalidArgument, wire.ExecutedNo, "argument %d: %v", n, err)
}
