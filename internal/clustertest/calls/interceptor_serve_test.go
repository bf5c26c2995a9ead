package calls

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// inBoth runs a test with calls from a peer and from the process of the provider.
func inBoth(t *testing.T, test func(c *clustertest.Cluster, provider, from *broach.Node)) {
	clustertest.InPair(t, nil, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		c.Until(5*time.Second, "joined", func() bool { return clustertest.IsJoined(caller) })
		test(c, provider, provider)
	})
	clustertest.InPair(t, nil, func(c *clustertest.Cluster, provider,
		caller *broach.Node) {
		test(c, provider, caller)
	})
}

// serve registers a function with Interceptors, and waits until the other node knows.
func serve(
	c *clustertest.Cluster, provider, from *broach.Node, name string, fn any, list ...broach.Interceptor,
) *broach.Caller {
	require.NoError(c.T, provider.Register(name, fn, broach.ServeInterceptors(list...)))
	require.NoError(c.T, from.WaitFor(context.Background(), name, 1))
	return from.Caller(name, broach.NoRetry())
}

func TestAProvidersInterceptorChangesTheCall(t *testing.T) {
	type key struct{}
	inBoth(t, func(c *clustertest.Cluster, provider, from *broach.Node) {
		nested := provider.Caller("meta")
		require.NoError(t, provider.Register("meta",
			func(ctx context.Context) string { in, _ := broach.InvocationFrom(ctx); return fmt.Sprint(in.Meta()) }))
		fn := func(ctx context.Context, x int, words ...string) (string, error) {
			in, ok := broach.InvocationFrom(ctx)
			require.True(t, ok)
			require.Empty(t, in.Args())
			passed, err := broach.Call[string](ctx, nested)
			return fmt.Sprint(x, words, in.Meta(), passed, ctx.Value(key{})), err
		}
		change := func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
			require.Equal(t, seenCall{Service: "f", From: from.Addr(), Meta: map[string]string{"a": "1"},
				Args: []any{7, "x", "y"}}, seen(call))
			in, ok := broach.InvocationFrom(ctx)
			require.True(t, ok)
			require.Equal(t, "f", in.Service)
			call.SetArgs(8, "z")
			call.Meta()["b"] = "2"
			v, err := next(context.WithValue(ctx, key{}, "value"), call)
			return v.(string) + "!", err
		}
		f := serve(c, provider, from, "f", fn, change)
		v, err := f.With(broach.Meta("a", "1")).Call(context.Background(), 7, "x", "y")
		require.NoError(t, err)
		require.Equal(t, "8 [z] map[a:1 b:2]map[a:1 b:2]value!", v)
	})
}

// Functions without a context have an Invocation too where an Interceptor asks for it, and metadata that nobody sent
// are no nil map.
func TestInterceptorsOfAFunctionWithoutContext(t *testing.T) {
	inBoth(t, func(c *clustertest.Cluster, provider, from *broach.Node) {
		var calls []seenCall
		note := func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
			calls = append(calls, seen(call))
			_, hasDeadline := ctx.Deadline()
			require.True(t, hasDeadline)
			return next(ctx, call)
		}
		f := serve(c, provider, from, "f", func(x int) int { return x }, note)
		for _, call := range []*broach.Caller{f, f.With(broach.Meta("a", "1"))} {
			v, err := call.Call(context.Background(), 7.0)
			require.NoError(t, err)
			require.Equal(t, 7, v)
		}
		require.Equal(t, []seenCall{
			{Service: "f", From: from.Addr(), Meta: map[string]string{}, Args: []any{7}},
			{Service: "f", From: from.Addr(), Meta: map[string]string{"a": "1"}, Args: []any{7}},
		}, calls)
	})
}

// next returns the results in the declared types, and the error as the function returned it.
func TestNextReturnsWhatTheFunctionReturned(t *testing.T) {
	type point struct{ X, Y int }
	inBoth(t, func(c *clustertest.Cluster, provider, from *broach.Node) {
		var got any
		var failed error
		note := func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
			got, failed = next(ctx, call)
			return got, failed
		}
		for i, row := range []struct {
			fn   any
			want any
		}{
			{func() {}, nil}, {func() error { return nil }, nil},
			{func() (point, error) { return point{1, 2}, nil }, point{1, 2}},
			{func() (int8, []string) { return 1, []string{"a"} },
				[]any{int8(1), []string{"a"}}}, {func() *point { return nil }, (*point)(nil)},
		} {
			_, err := serve(c, provider, from, fmt.Sprint("f", i), row.fn, note).Call(context.Background())
			require.NoError(t, err)
			require.Equal(t, row.want, got)
			require.NoError(t, failed)
		}
		_, err := serve(c, provider, from, "fails", func() (int, error) { return 1, errOwn },
			note).Call(context.Background())
		clustertest.RequireError(t, err, broach.Application, broach.Yes)
		require.Same(t, errOwn, failed)
		require.Nil(t, got)
		_, err = serve(c, provider, from, "strict", func(int) {}, note).Call(context.Background(), "x")
		clustertest.RequireError(t, err, broach.InvalidArgument, broach.No)
	})
}

// An error returned without next having been called has Executed No; a result that does not fit is Internal.
func TestAProvidersInterceptorThatNeverCallsNext(t *testing.T) {
	inBoth(t, func(c *clustertest.Cluster, provider, from *broach.Node) {
		ran := 0
		add := func(x, y int) (int, error) { ran++; return x + y, nil }
		for i, row := range []struct {
			interceptor broach.Interceptor
			code        broach.Code
			executed    broach.Executed
			text        string
		}{
			{always(42, nil), 0, broach.No, ""},
			{after(42, nil), 0, broach.No, ""},
			{always(nil, broach.Errorf(broach.Unauthenticated, "who are you?")), broach.Unauthenticated, broach.No,
				"who are you?"},
			{always(nil, broach.Errorf(broach.Overloaded, "too much")), broach.Overloaded, broach.No, "too much"},
			{always(nil, broach.Errorf(1042, "no milk")), 1042, broach.No, "no milk"},
			{always(nil, errOwn), broach.Application, broach.No, "no milk"},
			{after(nil, broach.Errorf(1042, "no milk")), 1042, broach.Yes, "no milk"},
			{always(nil, (*broach.Error)(nil)), broach.Internal, broach.No, "panicked"},
			{always(nil, nil), broach.Internal, broach.No, "an Interceptor returned nil, want int"},
			{after(nil, nil), broach.Internal, broach.Yes, "an Interceptor returned nil, want int"},
			{always("42", nil), broach.Internal, broach.No, "an Interceptor returned string, want int"},
		} {
			_, err := serve(c, provider, from, fmt.Sprint("f", i), add, row.interceptor).Call(context.Background(), 1,
				2)
			if row.code == 0 {
				require.NoError(t, err)
				continue
			}
			require.Contains(t, clustertest.RequireError(t, err, row.code, row.executed).Message, row.text)
		}
		require.Equal(t, 3, ran)
		_, err := serve(c, provider, from, "none", func() {}, always(1, nil)).Call(context.Background())
		clustertest.RequireError(t, err, broach.Internal, broach.No)
		_, err = serve(c, provider, from, "garbles", func() any { return 1 },
			always(make(chan int), nil)).Call(context.Background())
		clustertest.RequireError(t, err, broach.Internal, broach.No)
	})
}

// Arguments may be replaced by what can be assigned to the parameters; all else is Internal, and the function does not
// run.
func TestArgumentsThatDoNotFitTheFunction(t *testing.T) {
	inBoth(t, func(c *clustertest.Cluster, provider, from *broach.Node) {
		fn := func(x int, p *int, a any, rest ...string) string { return fmt.Sprint(x, p == nil, a, rest) }
		for i, row := range []struct {
			args []any
			want string // of an error, if it has a colon
		}{
			{[]any{8, nil, nil}, "8 true <nil> []"},
			{[]any{8, new(int), 'x', "a"}, "8 false 120 [a]"},
			{[]any{8, nil}, "an Interceptor made it 2 arguments"},
			{nil, "an Interceptor made it 0 arguments"},
			{[]any{"8", nil, nil}, "argument 1 of f2"},
			{[]any{int8(8), nil, nil}, "an Interceptor made it int8"},
			{[]any{nil, nil, nil}, "an Interceptor made it nil"},
			{[]any{8, nil, nil, "a", 7}, "argument 5 of"},
		} {
			replace := func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
				call.SetArgs(row.args...)
				return next(ctx, call)
			}
			v, err := serve(c, provider, from, fmt.Sprint("f", i-2), fn, replace).Call(context.Background(), 7, nil,
				nil)
			if i < 2 {
				require.NoError(t, err)
				require.Equal(t, row.want, v)
				continue
			}
			require.Contains(t, clustertest.RequireError(t, err, broach.Internal, broach.No).Message, row.want)
		}
		require.Contains(t, fmt.Sprint(from.Services()), "f0(int, *int, any, ...string) string")
	})
}

// So it is for functions that are called without reflection.
func TestArgumentsThatDoNotFitAFunctionOfACommonShape(t *testing.T) {
	type bytes []byte
	inBoth(t, func(c *clustertest.Cluster, provider, from *broach.Node) {
		add, length := func(x, y int) int { return x + y }, func(p []byte) string { return fmt.Sprint(len(p)) }
		for i, row := range []struct {
			fn    any
			given []any
			args  []any
			want  any // of an error, a part of its text
		}{
			{add, []any{1, 2}, []any{7, 8}, 15},
			{func(p []byte) []byte { return p }, []any{[]byte("a")}, []any{bytes("b")}, []byte("b")},
			{func(p []byte) []byte { return p }, []any{[]byte("a")}, []any{nil}, nil},
			{length, []any{[]byte("a")}, []any{bytes("bc")}, "2"},
			{add, []any{1, 2}, nil, "an Interceptor made it 0 arguments"},
			{add, []any{1, 2}, []any{1}, "an Interceptor made it 1 argument"},
			{add, []any{1, 2}, []any{1, "2"}, "argument 2 of f6(int, int) int: an Interceptor made it string"},
			{add, []any{1, 2}, []any{nil, 2}, "argument 1 of f7(int, int) int: an Interceptor made it nil"},
			{strings.ToUpper, []any{"a"}, nil, "an Interceptor made it 0 arguments"},
			{strings.ToUpper, []any{"a"}, []any{[]byte("a")}, "argument 1 of f9"},
		} {
			replace := func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
				call.SetArgs(row.args...)
				return next(ctx, call)
			}
			f := serve(c, provider, from, fmt.Sprint("f", i), row.fn, replace)
			v, err := f.Call(context.Background(), row.given...)
			if i < 4 {
				require.NoError(t, err)
				require.Equal(t, row.want, v)
				continue
			}
			require.Contains(t, clustertest.RequireError(t, err, broach.Internal, broach.No).Message, row.want)
		}
	})
}

// A panic takes down nothing but the call, and so does the end of the goroutine.
func TestAProvidersInterceptorThatPanics(t *testing.T) {
	inBoth(t, func(c *clustertest.Cluster, provider, from *broach.Node) {
		before := func(context.Context, *broach.Invocation, broach.Handler) (any, error) { panic("no milk") }
		exit := func(context.Context, *broach.Invocation, broach.Handler) (any, error) {
			runtime.Goexit()
			return nil, nil
		}
		behind := func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
			_, _ = next(ctx, call)
			panic("no milk")
		}
		for i, row := range []struct {
			fn          func()
			interceptor broach.Interceptor
			executed    broach.Executed
		}{
			{func() {}, before, broach.No}, {func() {}, exit, broach.No}, {func() {}, behind, broach.Yes},
			{func() { panic("no milk") }, pass, broach.Yes},
		} {
			f := serve(c, provider, from, fmt.Sprint("f", i), row.fn, row.interceptor)
			for range 4 { // one more, and the breaker opens
				_, err := f.Call(context.Background())
				clustertest.RequireError(t, err, broach.Internal, row.executed)
			}
		}
		_, err := serve(c, provider, from, "fine", func() {}, pass).Call(context.Background())
		require.NoError(t, err)
	})
}

func TestAProvidersInterceptorThatWaits(t *testing.T) {
	inBoth(t, func(c *clustertest.Cluster, provider, from *broach.Node) {
		ended := make(chan error, 1)
		wait := func(ctx context.Context, _ *broach.Invocation, _ broach.Handler) (any, error) {
			<-ctx.Done()
			ended <- ctx.Err()
			time.Sleep(time.Millisecond) // or a caller in this process may hear that nothing has run
			return nil, ctx.Err()
		}
		f := serve(c, provider, from, "f", func() {}, wait)
		_, err := f.With(broach.Timeout(time.Second)).Call(context.Background())
		clustertest.RequireError(t, err, broach.DeadlineExceeded, broach.Maybe)
		require.Error(t, <-ended, "by its own clock, or because the caller gave up")
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(time.Second, cancel)
		_, err = f.Call(ctx)
		clustertest.RequireError(t, err, broach.Canceled, broach.Maybe)
		require.ErrorIs(t, <-ended, context.Canceled)
		time.Sleep(time.Second) // until the Interceptor has returned
	})
}

// What is refused without having run is made elsewhere, so limits and pauses of one provider lose no call.
func TestARefusedCallGoesToAnotherProvider(t *testing.T) {
	for _, code := range []broach.Code{broach.Overloaded, broach.Unavailable} {
		clustertest.Run(t, 1, func(c *clustertest.Cluster) {
			caller := c.Start(0)
			for i := 1; i <= 2; i++ {
				var list []broach.Interceptor
				if i == 1 {
					list = append(list, always(nil, broach.Errorf(code, "not here")))
				}
				require.NoError(t,
					c.Start(i, 0).Register("which", func() int { return i }, broach.ServeInterceptors(list...)))
			}
			require.NoError(t, caller.WaitFor(context.Background(), "which", 2))
			toTheFirst := caller.Caller("which",
				broach.Balance(clustertest.PickFunc(func(broach.CallInfo, []broach.Provider) int { return 0 })))
			require.Equal(t, map[int]int{2: 5}, whoAnswers(t, toTheFirst, 5))
			_, err := toTheFirst.With(broach.NoRetry()).Call(context.Background())
			clustertest.RequireError(t, err, code, broach.No)
		})
	}
}

// The outcome of a one-way call is the provider's alone: what its Interceptors do to it harms nothing.
func TestOneWayCallsAreInterceptedAtTheProvider(t *testing.T) {
	inBoth(t, func(c *clustertest.Cluster, provider, from *broach.Node) {
		passed := make(chan string, 10)
		note := func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
			_, hasDeadline := ctx.Deadline()
			require.False(t, hasDeadline)
			v, err := next(ctx, call)
			passed <- fmt.Sprint(call.Args(), v, err)
			return nil, errors.New("for the log")
		}
		f := serve(c, provider, from, "f", strings.ToUpper, note)
		require.NoError(t, f.Send(context.Background(), "a"))
		require.Equal(t, "[a]A<nil>", <-passed)
	})
}

// Those of the Config stand around subscribers too; what one of these is told does not reach another.
func TestEventsAreInterceptedAtTheSubscriber(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		s := new(steps)
		change := func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
			s.add(fmt.Sprint(call.Service, call.Args(), call.Meta()))
			if call.Service == "sold" {
				call.Args()[0], call.Meta()["b"] = 8, "2"
			}
			return next(ctx, call)
		}
		c.Edit = func(cfg *broach.Config) { cfg.ServeInterceptors = []broach.Interceptor{change} }
		n := c.Start(0)
		for range 2 {
			_, err := n.Subscribe("sold", func(ctx context.Context, x int) {
				in, _ := broach.InvocationFrom(ctx)
				s.add(fmt.Sprint(x, in.Meta()))
			})
			require.NoError(t, err)
		}
		require.NoError(t, n.Register("publish",
			func(ctx context.Context) error { _, err := n.Publish(ctx, "sold", 7); return err }))
		_, err := n.Caller("publish", broach.Meta("a", "1")).Call(context.Background())
		require.NoError(t, err)
		time.Sleep(time.Second)
		event := []string{"sold[7] map[a:1]", "8 map[a:1 b:2]"}
		require.ElementsMatch(t, append([]string{"publish[] map[a:1]"}, append(event, event...)...), s.take())
	})
}
