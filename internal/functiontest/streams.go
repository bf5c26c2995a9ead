package functiontest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"runtime"
	"slices"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// A StreamCase is one function whose results stream, and one loop over a call of it.
type StreamCase struct {
	Name    string
	Fn      any
	Args    []any
	Most    int     // the loop is left after so many items; 0: it is not
	Items   []any   // what the loop gets, where items are wanted as any
	Failure Failure // the last pair; the zero value for none
}

// A StreamCall offers fn under that name, calls it and reads at most so many items; 0: all.
type StreamCall func(t *testing.T, name string, fn any, args []any, most int) (items []any, failed *Failure)

// RunStreams holds a way of calling to what the cases say.
func RunStreams(t *testing.T, cases []StreamCase, call StreamCall) {
	require.NotEmpty(t, cases)
	for _, c := range cases {
		items, failed := call(t, "f", c.Fn, c.Args, c.Most)
		require.Equal(t, c.Items, items, c.Name)
		Case{Name: c.Name, Want: any(nil), Failure: c.Failure}.require(t, nil, failed)
	}
}

// yields is a loop that gets all items of a stream.
func yields(name string, items []any, fn any, args ...any) StreamCase {
	return StreamCase{Name: name, Fn: fn, Args: args, Items: items}
}

// breaks is a loop that gets some items and an error.
func breaks(name string, items []any, f Failure, fn any, args ...any) StreamCase {
	return StreamCase{Name: name, Fn: fn, Args: args, Items: items, Failure: f}
}

// yes is a failure of a function that has run.
func yes(code wire.Code, text string) Failure { return Failure{code, wire.ExecutedYes, text} }

// no is one of a call whose function does not run.
func no(text string) Failure { return Failure{wire.InvalidArgument, wire.ExecutedNo, text} }

// Sequences that the cases pass around.
type (
	row struct {
		Key string `msgpack:"key"`
		N   int
	}
	rows func(yield func(row, error) bool) // not an iter.Seq2
)

// upTo yields numbers from 1 on, then err, if it is not nil.
func upTo(n int, err error) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i+1, nil) {
				return
			}
		}
		if err != nil {
			yield(0, err)
		}
	}
}

// of yields items.
func of[T any](items ...T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, x := range items {
			if !yield(x, nil) {
				return
			}
		}
	}
}

// numbersTo are what upTo yields, as any.
func numbersTo(n int) (items []any) {
	for i := range n {
		items = append(items, int64(i+1))
	}
	return items
}

func add(in iter.Seq2[int, error]) (sum int, _ error) {
	for n, err := range in {
		if err != nil {
			return sum, err
		}
		sum += n
	}
	return sum, nil
}

// Streams are cases of functions whose results stream.
var Streams = slices.Concat(streamedResults, endings, otherWays, both)

// What is yielded arrives as an any would.
var streamedResults = []StreamCase{
	yields("ints", numbersTo(3), func() iter.Seq2[int, error] { return upTo(3, nil) }),
	yields("many", numbersTo(30000), func() iter.Seq2[int, error] { return upTo(30000, nil) }),
	yields("none", nil, func() iter.Seq2[int, error] { return upTo(0, nil) }),
	yields("strings", []any{"a", "", "世"}, func() iter.Seq2[string, error] { return of("a", "", "世") }),
	yields("bytes", []any{[]byte{1}, []byte{}}, func() iter.Seq2[[]byte, error] { return of([]byte{1}, []byte{}) }),
	yields("structs", []any{map[string]any{"key": "a", "N": int64(1)}},
		func() iter.Seq2[row, error] { return of(row{"a", 1}) }),
	yields("pointers and nil", []any{map[string]any{"key": "", "N": int64(0)}, nil},
		func() iter.Seq2[*row, error] { return of(&row{}, nil) }),
	yields("any", []any{int64(1), "a", nil}, func() iter.Seq2[any, error] { return of[any](1, "a", nil) }),
	yields("times", []any{noon}, func() iter.Seq2[time.Time, error] { return of(noon.In(zone)) }),
	yields("a named sequence", []any{map[string]any{"key": "a", "N": int64(2)}},
		func() rows { return func(yield func(row, error) bool) { yield(row{"a", 2}, nil) } }),
	yields("a func that yields", []any{"x"},
		func() func(func(string, error) bool) { return func(yield func(string, error) bool) { yield("x", nil) } }),
	yields("arguments and a context", []any{"atrue 1", "atrue 2"},
		func(ctx context.Context, s string, n int8) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				for i := range n {
					if !yield(fmt.Sprint(s, ctx != nil, i+1), nil) {
						return
					}
				}
			}
		}, "a", 2),
	yields("variadic", []any{int64(5), int64(6)},
		func(n ...int) iter.Seq2[int, error] { return of(n...) }, 5, 6),
	yields("an error that is none", numbersTo(1), func() (iter.Seq2[int, error], error) { return upTo(1, nil), nil }),
	yields("items of 100 KB", []any{string(make([]byte, 100000)), string(make([]byte, 300000))},
		func() iter.Seq2[string, error] { return of(string(make([]byte, 100000)), string(make([]byte, 300000))) }),
}

// How a stream ends.
var endings = []StreamCase{
	{Name: "the loop is left", Fn: func() iter.Seq2[int, error] { return upTo(1<<30, nil) }, Most: 5,
		Items: numbersTo(5)},
	breaks("an error after items", numbersTo(2), yes(wire.Application, "no milk"),
		func() iter.Seq2[int, error] { return upTo(2, errors.New("no milk")) }),
	breaks("an error before the first item", nil, yes(wire.Application, "no shop"),
		func() (iter.Seq2[int, error], error) { return nil, errors.New("no shop") }),
	breaks("what is yielded after an error is dropped", numbersTo(1), yes(wire.Application, "first"),
		func() iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				yield(1, nil)
				yield(7, errors.New("first"))
				yield(2, nil)
				yield(0, errors.New("second"))
			}
		}),
	breaks("a panic after items", numbersTo(1), yes(wire.Internal, "the function panicked"),
		func() iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				yield(1, nil)
				panic("boom")
			}
		}),
	breaks("a goroutine that ends", numbersTo(1), yes(wire.Internal, "the function panicked"),
		func() iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				yield(1, nil)
				runtime.Goexit()
			}
		}),
	breaks("a panic before the stream", nil, yes(wire.Internal, "the function panicked"),
		func() iter.Seq2[int, error] { panic("boom") }),
	breaks("no sequence", nil, yes(wire.Internal, "f() stream int returned nil, which is no stream"),
		func() iter.Seq2[int, error] { return nil }),
	breaks("an item that cannot be sent", []any{"a"}, yes(wire.Internal, "f() stream any: item 2: "),
		func() iter.Seq2[any, error] { return of[any]("a", make(chan int)) }),
	breaks("an argument that does not fit", nil, no("argument 1 of f(int8) stream int: 300 does not fit int8"),
		func(n int8) iter.Seq2[int, error] { return upTo(int(n), nil) }, 300),
	breaks("too few arguments", nil, no("f(int) stream int: got 0 arguments"),
		func(n int) iter.Seq2[int, error] { return upTo(n, nil) }),
}

// A call that streams in another way than the function does not run it.
var otherWays = []StreamCase{
	breaks("a plain function", nil, no("f() int: it returns no stream: call it by Call or Bind"),
		func() int { return 1 }),
	breaks("one that takes a stream", nil, no("f(stream int) int: it returns no stream"), add, upTo(3, nil)),
	breaks("a sequence too much", nil, no("f(int) stream int: it takes no stream, and the last argument is a sequence"),
		func(n int) iter.Seq2[int, error] { return upTo(n, nil) }, 1, upTo(3, nil)),
	breaks("a sequence too few", nil, no("f(stream int) stream int: it takes a stream: the last argument must be"),
		func(in iter.Seq2[int, error]) iter.Seq2[int, error] { return in }),
}

// Streams in both directions.
var both = []StreamCase{
	yields("echo", numbersTo(20000), func(in iter.Seq2[int, error]) iter.Seq2[int, error] { return in },
		upTo(20000, nil)),
	yields("echo of structs", []any{map[string]any{"key": "a", "N": int64(1)}},
		func(in iter.Seq2[row, error]) iter.Seq2[row, error] { return in }, of(row{"a", 1})),
	{Name: "an echo that is left", Fn: func(in iter.Seq2[int, error]) iter.Seq2[int, error] { return in },
		Args: []any{upTo(1<<30, nil)}, Most: 3, Items: numbersTo(3)},
	yields("pulled", []any{"1 2", "3 4"}, func(in iter.Seq2[int, error]) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			next, stop := iter.Pull2(in)
			defer stop()
			for {
				a, _, ok := next()
				if b, _, _ := next(); !ok || !yield(fmt.Sprint(a, " ", b), nil) {
					return
				}
			}
		}
	}, upTo(4, nil)),
	breaks("an item that does not fit", []any{int64(1)}, yes(wire.InvalidArgument, "item 2: 300 does not fit int8"),
		func(in iter.Seq2[int8, error]) iter.Seq2[int8, error] { return in }, of(1, 300)),
}

// Uploads are cases of functions that take a stream and return a plain result.
var Uploads = []Case{
	gives("sum", 6, add, upTo(3, nil)),
	gives("sum of many", 2112532500, add, upTo(65000, nil)),
	gives("sum of none", 0, add, upTo(0, nil)),
	gives("arguments before it", "a12", func(s string, in iter.Seq2[int, error]) (string, error) {
		for n, err := range in {
			if err != nil {
				return s, err
			}
			s += fmt.Sprint(n)
		}
		return s, nil
	}, "a", upTo(2, nil)),
	gives("not read at all", 7, func(iter.Seq2[int, error]) int { return 7 }, upTo(1<<30, nil)),
	gives("left", 1, func(in iter.Seq2[int, error]) int {
		for n := range in {
			return n
		}
		return 0
	}, upTo(1<<30, nil)),
	gives("numbers as they fit", 3, func(in iter.Seq2[any, error]) (n int) {
		for range in {
			n++
		}
		return n
	}, of(1, 2, 3)),
	gives("another type of items", 3, add, of[any](1.0, int8(2))),
	gives("ranged over twice", "InvalidArgument", func(in iter.Seq2[int, error]) string {
		for range in {
		}
		for _, err := range in {
			if err != nil {
				return "InvalidArgument"
			}
		}
		return ""
	}, upTo(3, nil)),
	fails("an item that does not fit", wire.InvalidArgument, "item 2: a string does not fit int", add, of[any](1, "a")),
	fails("an error of its own", wire.Application, "enough", func(in iter.Seq2[int, error]) error {
		for range in {
			return errors.New("enough")
		}
		return nil
	}, upTo(1<<30, nil)),
	fails("a panic in the loop", wire.Internal, "the function panicked", func(in iter.Seq2[int, error]) {
		for range in {
			panic("boom")
		}
	}, upTo(1<<30, nil)),
	refused("a plain function", "f(int) int: it takes no stream, and the last argument is a sequence",
		func(n int) int { return n }, 1, upTo(1, nil)),
	refused("no sequence", "f(stream int) int: it takes a stream: the last argument must be a sequence, such as an "+
		"iter.Seq2[int, error]", add),
	refused("a slice", "f(stream int) int: it takes a stream", add, []int{1}),
	refused("a result that streams", "f() stream int: it returns a stream: call it by Stream or Bind",
		func() iter.Seq2[int, error] { return upTo(1, nil) }),
	refused("a sequence that is nil", "the sequence is nil", add, iter.Seq2[int, error](nil)),
	refused("a sequence without errors", "it yields no errors; a stream is an iter.Seq2 whose second type is error",
		add, iter.Seq[int](func(func(int) bool) {})),
	refused("items that cannot be sent", "items of a stream: chan int cannot be sent", add,
		iter.Seq2[chan int, error](func(func(chan int, error) bool) {})),
	fails("an io error", wire.Application, "unexpected EOF",
		func(iter.Seq2[int, error]) error { return io.ErrUnexpectedEOF }, upTo(1<<30, nil)),
}
