package function

import (
	"context"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
	"unsafe"

	"broach/internal/codec"

	"github.com/stretchr/testify/require"
)

func TestSignatures(t *testing.T) {
	type sum func(x, y int) int
	for want, fn := range map[string]any{
		"work01(int, int) int":                  sum(plus),
		"work01()":                              func(context.Context) error { return nil },
		"work01(string) (int, string)":          func(string) (int, string) { return 0, "" },
		"work01(...int)":                        func(context.Context, ...int) {},
		"work01(string, ...[]any)":              func(string, ...[]any) {},
		"work01(map[string]any, *any) any":      func(map[string]any, *any) (any, error) { return nil, nil },
		"work01(time.Duration) *function.staff": func(time.Duration) *staff { return nil },
		"work01([2]function.hour)":              func([2]hour) {},
	} {
		f, err := New("work01", fn)
		require.NoError(t, err)
		require.Equal(t, want, f.Signature())
	}
}

// "other interface, chan, func, complex, unsafe.Pointer: refused by Register with a clear error", at any depth.
func TestFunctionsThatCannotBeCalled(t *testing.T) {
	type pointers *pointers
	type shown struct{ X fmt.Stringer }
	type job struct{ Done chan struct{} }
	type queue struct{ Jobs map[string][]*job }
	var none func()
	for want, fn := range map[string]any{
		"<nil> is not a function":                                            nil,
		"int is not a function":                                              5,
		"the function is nil":                                                none,
		"parameter 1: chan int cannot be sent":                               func(chan int) {},
		"parameter 2: func() cannot be sent":                                 func(int, func()) {},
		"parameter 1: complex128 cannot be sent":                             func(complex128) {},
		"parameter 1: complex64 cannot be sent":                              func([]complex64) {},
		"parameter 1: unsafe.Pointer cannot be sent":                         func(unsafe.Pointer) {},
		"parameter 1: uintptr cannot be sent":                                func(map[uintptr]int) {},
		"parameter 1: io.Reader cannot be sent: of interfaces, only any can": func(...io.Reader) {},
		"parameter 2: context.Context can only be the first parameter":       func(int, context.Context) {},
		"parameter 1: error can only be the last result":                     func(error) {},
		"result 1: error can only be the last result":                        func() (error, error) { return nil, nil },
		"result 2: chan bool cannot be sent":                                 func() (_ int, _ [1]chan bool) { return },

		"parameter 1: function.pointers points to nothing but pointers": func(pointers) {},
		"parameter 1: field Jobs of function.queue: " +
			"field Done of function.job: chan struct {} cannot be sent": func(*queue) {},

		"parameter 1: field X of function.shown: " +
			"fmt.Stringer cannot be sent: of interfaces, only any can": func(shown) {},

		"parameter 1: complex128 cannot be sent\n" +
			"result 1: chan int cannot be sent": func(complex128) (_ chan int) { return },
		"parameter 1: field Left of function.odd: chan int cannot be sent": func(odd) {},
		"256 results, at most 255 can travel":                              tooMany,
	} {
		_, err := New("f", fn)
		require.EqualError(t, err, want)
	}
}

// docs/values.md, "results of a function: 255": an error is none of them.
func most() (
	_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _,
	_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _,
	_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _,
	_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _,
	_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _,
	_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _,
	_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _ int, _ error,
) {
	return
}

func tooMany() (
	_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _,
	_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _,
	_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _,
	_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _,
	_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _,
	_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _,
	_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _ int,
) {
	return
}

func TestAsManyResultsAsCanTravel(t *testing.T) {
	f, err := New("f", most)
	require.NoError(t, err)
	require.Equal(t, codec.MaxResults, strings.Count(f.Signature(), "int"))
}

// What a func variable calls with is sent, and what it returns is received.
func TestFunctionsThatCannotBeBound(t *testing.T) {
	type sealed struct{ n int }
	_ = sealed{n: 1}
	const none = "function.sealed has no exported fields, so that nothing of it would be sent"
	for want, fn := range map[string]any{
		"parameter 1: " + none:                        func(sealed) error { return nil },
		"parameter 2: " + none:                        func(context.Context, ...*sealed) error { return nil },
		"result 2: " + none:                           func() (_ int, _ []sealed, _ error) { return },
		"parameter 1: chan int cannot be sent":        func(chan int) error { return nil },
		"result 1: error can only be the last result": func() (error, error) { return nil, nil },
	} {
		require.EqualError(t, CheckBound(reflect.TypeOf(fn)), want)
	}
	require.NoError(t, CheckBound(reflect.TypeFor[func(context.Context, *branching, ...any) (staff, error)]()))
}

type odd struct {
	Again *odd
	Left  chan int
}

// Types that hide what cannot be sent, or send themselves, are fine.
func TestFunctionsThatLookOddButCan(t *testing.T) {
	for _, fn := range []any{
		func(struct {
			c    chan int
			Sent int
			Skip func() `msgpack:"-"`
		}) {
		},
		func(*branching, map[any]any, [0]int, struct{}) {},
		func(fussy) fussy { return fussy{} },
		func(time.Time, *time.Time) []time.Time { return nil },
	} {
		_, err := New("f", fn)
		require.NoError(t, err, "%T", fn)
	}
}

// A panic of the function is not caught here, and leaves the function fit for the next call.
func TestPanicsPassThrough(t *testing.T) {
	type unary func(x []int) int
	for _, fn := range []any{unary(func(x []int) int { return x[1] }), func(s string) string { return s[1:2] }} {
		f, err := New("f", fn)
		require.NoError(t, err)
		one, two := []any{[]int{1}}, []any{[]int{1, 2}}
		if _, isString := fn.(func(string) string); isString {
			one, two = []any{"a"}, []any{"ab"}
		}
		for range 3 {
			args, err := codec.Arguments{List: one}.Append(nil, mostBytes)
			require.NoError(t, err)
			require.Panics(t, func() { _, _ = f.Invoke(t.Context(), args, nil, nil) })
			args, err = codec.Arguments{List: two}.Append(nil, mostBytes)
			require.NoError(t, err)
			_, failed := f.Invoke(t.Context(), args, nil, nil)
			require.Nil(t, failed)
		}
	}
}

// A function may be running while it is called again: frames are not shared.
func TestFunctionsAreReentrant(t *testing.T) {
	type countdown func(ctx context.Context, n int, path []int) ([]int, error)
	var f *Func
	down := func(ctx context.Context, n int, path []int) ([]int, error) {
		if n == 0 {
			return path, nil
		}
		args, err := codec.Arguments{List: []any{n - 1, append(path, n)}}.Append(nil, mostBytes)
		if err != nil {
			return nil, err
		}
		result, failed := f.Invoke(ctx, args, nil, nil)
		if failed != nil {
			return nil, failed
		}
		rest, err := codec.DecodeAs[[]int](result)
		return append(rest, -n), err
	}
	f, err := New("f", countdown(down))
	require.NoError(t, err)
	args, err := codec.Arguments{List: []any{3, []int{}}}.Append(nil, mostBytes)
	require.NoError(t, err)
	result, failed := f.Invoke(t.Context(), args, nil, nil)
	require.Nil(t, failed)
	got, err := codec.DecodeAs[[]int](result)
	require.NoError(t, err)
	require.Equal(t, []int{3, 2, 1, -1, -2, -3}, got)
}

// Functions of the shapes that are called without reflection, in all four of their forms, mean the same as others.
func TestTypedShapesMeanTheSame(t *testing.T) {
	forms := []any{
		func(x, y int) int { return x + y },
		func(x, y int) (int, error) { return x + y, nil },
		func(_ context.Context, x, y int) int { return x + y },
		func(_ context.Context, x, y int) (int, error) { return x + y, nil },
		func(s string) string { return s + s },
		func(s string) (string, error) { return s + s, nil },
		func(_ context.Context, s string) string { return s + s },
		func(_ context.Context, s string) (string, error) { return s + s, nil },
		func(b []byte) []byte { return append(b, b...) },
		func(b []byte) ([]byte, error) { return append(b, b...), nil },
		func(_ context.Context, b []byte) []byte { return append(b, b...) },
		func(_ context.Context, b []byte) ([]byte, error) { return append(b, b...), nil },
		func(b []byte) ([]byte, error) { return nil, io.EOF },
	}
	inputs := [][]any{{1, 2}, {1.0, uint8(2)}, {1.5, 2}, {1, nil}, {nil, 1}, {"a"}, {[]byte("a")}, {[]byte{0xff}},
		{nil}, {[]int{1, 300}}, {[]int{1}}, {}, {true}}
	for _, fn := range forms {
		f, err := New("f", fn)
		require.NoError(t, err)
		require.NotNil(t, f.shape)
		reflected, err := New("f", fn)
		require.NoError(t, err)
		reflected.run = reflectedBody(reflect.ValueOf(fn))
		for _, in := range inputs {
			args, err := codec.Arguments{List: in}.Append(nil, mostBytes)
			require.NoError(t, err)
			want, wantErr := reflected.Invoke(t.Context(), args, nil, nil)
			got, gotErr := f.Invoke(t.Context(), args, nil, nil)
			require.Equal(t, wantErr, gotErr, "%T of %v", fn, in)
			require.Equal(t, want, got, "%T of %v", fn, in)
		}
	}
}
