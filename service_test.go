package broach

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"broach/internal/codec"

	"github.com/stretchr/testify/require"
)

func TestSignatures(t *testing.T) {
	type sum func(x, y int) int
	for want, fn := range map[string]any{
		"work01(int, int) int":                 sum(addInts),
		"work01()":                             func(context.Context) error { return nil },
		"work01(string) (int, string)":         func(string) (int, string) { return 0, "" },
		"work01(...int)":                       func(context.Context, ...int) {},
		"work01(string, ...[]any)":             func(string, ...[]any) {},
		"work01(map[string]any, *any) any":     func(map[string]any, *any) (any, error) { return nil, nil },
		"work01(time.Duration) *broach.person": func(time.Duration) *person { return nil },
		"work01([2]broach.weekday)":            func([2]weekday) {},
	} {
		f, err := newService("work01", fn)
		require.NoError(t, err)
		require.Equal(t, want, f.Signature())
	}
}

func addInts(x, y int) int { return x + y }

// "other interface, chan, func, complex, unsafe.Pointer: refused by Register with a clear error", at any depth.
func TestFunctionsThatCannotBeRegistered(t *testing.T) {
	type pointers *pointers
	type job struct{ Done chan struct{} }
	type queue struct{ Jobs map[string][]*job }
	var none func()
	for want, fn := range map[string]any{
		"register f: <nil> is not a function":                                                                                     nil,
		"register f: int is not a function":                                                                                       5,
		"register f: the function is nil":                                                                                         none,
		"register f: parameter 1: chan int cannot be sent":                                                                        func(chan int) {},
		"register f: parameter 2: func() cannot be sent":                                                                          func(int, func()) {},
		"register f: parameter 1: complex128 cannot be sent":                                                                      func(complex128) {},
		"register f: parameter 1: complex64 cannot be sent":                                                                       func([]complex64) {},
		"register f: parameter 1: unsafe.Pointer cannot be sent":                                                                  func(unsafe.Pointer) {},
		"register f: parameter 1: uintptr cannot be sent":                                                                         func(map[uintptr]int) {},
		"register f: parameter 1: io.Reader cannot be sent: of interfaces, only any can":                                          func(...io.Reader) {},
		"register f: parameter 2: context.Context can only be the first parameter":                                                func(int, context.Context) {},
		"register f: parameter 1: error can only be the last result":                                                              func(error) {},
		"register f: result 1: error can only be the last result":                                                                 func() (error, error) { return nil, nil },
		"register f: result 2: chan bool cannot be sent":                                                                          func() (int, [1]chan bool) { return 0, [1]chan bool{} },
		"register f: parameter 1: broach.pointers points to nothing but pointers":                                                 func(pointers) {},
		"register f: parameter 1: field Jobs of broach.queue: field Done of broach.job: chan struct {} cannot be sent":            func(*queue) {},
		"register f: parameter 1: field X of struct { X fmt.Stringer }: fmt.Stringer cannot be sent: of interfaces, only any can": func(struct{ X fmt.Stringer }) {},
		"register f: parameter 1: complex128 cannot be sent\nresult 1: chan int cannot be sent":                                   func(complex128) chan int { return nil },
		"register f: parameter 1: field Left of broach.odd: chan int cannot be sent":                                              func(odd) {},
	} {
		_, err := newService("f", fn)
		require.EqualError(t, err, want)
	}
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
			Skip func() `msgpack:"-"`
		}) {
		},
		func(*tree, map[any]any, [0]int, struct{}) {},
		func(panicky) panicky { return panicky{} },
		func(time.Time, *time.Time) []time.Time { return nil },
		func() *Error { return nil },
	} {
		_, err := newService("f", fn)
		require.NoError(t, err, "%T", fn)
	}
}

// "1 to 200 bytes of UTF-8, no control characters; names beginning __ are private to the node."
func TestNames(t *testing.T) {
	for _, name := range []string{"a", "加法", "work 01", "a/b.c", "__stats", strings.Repeat("x", 200)} {
		require.NoError(t, checkName("service", name), name)
	}
	for name, text := range map[string]string{
		"":                       "empty",
		strings.Repeat("x", 201): "201 bytes",
		strings.Repeat("世", 67):  "201 bytes",
		"a\xff":                  "UTF-8",
		"a\nb":                   "control character",
		"a\x00":                  "control character",
		"a\u0085":                "control character",
		"\x7f":                   "control character",
	} {
		require.ErrorContains(t, checkName("service", name), text)
		_, err := newService(name, func() {})
		require.ErrorContains(t, err, text)
	}
	require.True(t, isPrivate("__stats"))
	require.False(t, isPrivate("_stats"))
	require.False(t, isPrivate("stats__"))
}

// invokeBare invokes fn without arguments.
func invokeBare(t *testing.T, ctx context.Context, fn any) *Error {
	f, err := newService("f", fn)
	require.NoError(t, err)
	_, failed := f.invoke(ctx, []byte{0x90}, nil)
	return failed
}

// A handler that gives up because its context is over answers with the code of that, whatever it wraps.
func TestErrorsOfAContextThatIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wait := func(ctx context.Context) error {
			<-ctx.Done()
			return fmt.Errorf("waiting: %w", ctx.Err())
		}
		e := invokeBare(t, ctx, wait)
		require.Equal(t, DeadlineExceeded, e.Code)
		require.Equal(t, Yes, e.Executed)
		require.Equal(t, "waiting: context deadline exceeded", e.Message)

		ctx, cancel = context.WithCancel(t.Context())
		cancel()
		e = invokeBare(t, ctx, wait)
		require.Equal(t, Canceled, e.Code)
		require.Equal(t, "waiting: context canceled", e.Message)

		e = invokeBare(t, ctx, func() error { return context.DeadlineExceeded })
		require.Equal(t, Application, e.Code, "another context's end is an ordinary error")
		e = invokeBare(t, ctx, func() error { return io.EOF })
		require.Equal(t, Application, e.Code)
		e = invokeBare(t, ctx, func(ctx context.Context) error { return Errorf(1001, "stopped: %w", ctx.Err()) })
		require.Equal(t, Code(1001), e.Code, "a code that the handler chose stays")
	})
}

// An error made by Errorf keeps its code; one that came from another node is this function's failure.
func TestErrorsOfHandlers(t *testing.T) {
	cause := errors.New("disk full")
	e := invokeBare(t, t.Context(), func() error { return Errorf(1002, "saving: %w", cause) })
	require.Equal(t, Code(1002), e.Code)
	require.Equal(t, "saving: disk full", e.Message)
	for _, nested := range []*Error{
		{Code: 1003, Message: "m", Service: "other", Executed: No},
		{Code: Overloaded, Message: "m", Node: "10.0.0.1:1", Executed: Maybe},
	} {
		e = invokeBare(t, t.Context(), func() error { return fmt.Errorf("calling: %w", nested) })
		require.Equal(t, Application, e.Code)
		require.Equal(t, Yes, e.Executed)
		require.Equal(t, "calling: "+nested.brief(), e.Message)
		require.Empty(t, e.Service+e.Node)
	}
}

// A panic of the function is not caught here, and leaves the function fit for the next call.
func TestPanicsPassThrough(t *testing.T) {
	type unary func(x []int) int
	for _, fn := range []any{unary(func(x []int) int { return x[1] }), func(s string) string { return s[1:2] }} {
		f, err := newService("f", fn)
		require.NoError(t, err)
		one, two := []any{[]int{1}}, []any{[]int{1, 2}}
		if _, isString := fn.(func(string) string); isString {
			one, two = []any{"a"}, []any{"ab"}
		}
		for range 3 {
			args, err := codec.Arguments{List: one}.Append(nil, maxMessageMost)
			require.NoError(t, err)
			require.Panics(t, func() { _, _ = f.invoke(t.Context(), args, nil) })
			args, err = codec.Arguments{List: two}.Append(nil, maxMessageMost)
			require.NoError(t, err)
			_, failed := f.invoke(t.Context(), args, nil)
			require.Nil(t, failed)
		}
	}
}

// A function may be running while it is called again: frames are not shared.
func TestFunctionsAreReentrant(t *testing.T) {
	type countdown func(ctx context.Context, n int, path []int) ([]int, error)
	var f *service
	down := func(ctx context.Context, n int, path []int) ([]int, error) {
		if n == 0 {
			return path, nil
		}
		args, err := codec.Arguments{List: []any{n - 1, append(path, n)}}.Append(nil, maxMessageMost)
		if err != nil {
			return nil, err
		}
		result, failed := f.invoke(ctx, args, nil)
		if failed != nil {
			return nil, failed
		}
		rest, err := codec.DecodeAs[[]int](result)
		return append(rest, -n), err
	}
	f, err := newService("f", countdown(down))
	require.NoError(t, err)
	args, err := codec.Arguments{List: []any{3, []int{}}}.Append(nil, maxMessageMost)
	require.NoError(t, err)
	result, failed := f.invoke(t.Context(), args, nil)
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
	inputs := [][]any{{1, 2}, {1.0, uint8(2)}, {1.5, 2}, {1, nil}, {nil, 1}, {"a"}, {[]byte("a")}, {[]byte{0xff}}, {nil}, {[]int{1, 300}}, {[]int{1}}, {}, {true}}
	for _, fn := range forms {
		f, err := newService("f", fn)
		require.NoError(t, err)
		require.NotNil(t, typedBody(fn))
		reflected, err := newService("f", fn)
		require.NoError(t, err)
		reflected.run = reflectedBody(reflect.ValueOf(fn))
		for _, in := range inputs {
			args, err := codec.Arguments{List: in}.Append(nil, maxMessageMost)
			require.NoError(t, err)
			want, wantErr := reflected.invoke(t.Context(), args, nil)
			got, gotErr := f.invoke(t.Context(), args, nil)
			require.Equal(t, wantErr, gotErr, "%T of %v", fn, in)
			require.Equal(t, want, got, "%T of %v", fn, in)
		}
	}
}
