package calls

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// echoes are what the tests of the caller's side call: its result tells what came.
func echoes() map[string]any {
	return map[string]any{
		"echo": func(ctx context.Context, x int) string {
			in, _ := broach.InvocationFrom(ctx)
			return fmt.Sprint(x, in.Meta())
		},
		"add":  func(x, y int) int { return x + y },
		"fail": func() error { return broach.Errorf(1042, "no milk") },
		"none": func() {},
		"hang": clustertest.Hang,
	}
}

func TestACallersInterceptorChangesTheCall(t *testing.T) {
	clustertest.InPair(t, echoes(), func(c *clustertest.Cluster, provider, caller *broach.Node) {
		for _, n := range []*broach.Node{caller, provider} {
			change := func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
				require.Equal(t, seenCall{Service: "echo", From: n.Addr(), Meta: map[string]string{"a": "1"},
					Args: []any{7}}, seen(call))
				call.Args()[0], call.Meta()["b"], call.Service = 8, "2", "ignored"
				v, err := next(ctx, call)
				return v.(string) + "!", err
			}
			args := []any{7}
			got, err := broach.Call[string](context.Background(),
				n.Caller("echo", broach.Meta("a", "1"), broach.CallInterceptors(change)), args...)
			require.NoError(t, err)
			require.Equal(t, "8 map[a:1 b:2]!", got)
			require.Equal(t, []any{7}, args, "the caller's own list is as it was")
			got, err = broach.Call[string](context.Background(), n.Caller("echo", broach.Meta("a", "1")), 7)
			require.NoError(t, err)
			require.Equal(t, "7 map[a:1]", got, "and so are the options")
		}
		instead := func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
			require.NotNil(t, call.Meta())
			return next(ctx, invocationOf(append(call.Args(), 5)...))
		}
		sum, err := broach.Call[int](context.Background(), caller.Caller("add", broach.CallInterceptors(instead)), 4)
		require.NoError(t, err)
		require.Equal(t, 9, sum)
	})
}

// Metadata that an Interceptor makes are held to the same rules as those of options.
func TestMetadataOfInterceptorsHaveLimits(t *testing.T) {
	clustertest.InPair(t, echoes(), func(c *clustertest.Cluster, provider, caller *broach.Node) {
		for _, key := range []string{"", "\x00k", "\xff", string(make([]byte, 256))} {
			wrong := func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
				call.Meta()[key] = "v"
				return next(ctx, call)
			}
			_, err := caller.Caller("none", broach.CallInterceptors(wrong)).Call(context.Background())
			clustertest.RequireError(t, err, broach.InvalidArgument, broach.No)
		}
		much := func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
			call.Meta()["k"] = string(make([]byte, 8192))
			return next(ctx, call)
		}
		_, err := caller.Caller("none", broach.CallInterceptors(much)).Call(context.Background())
		clustertest.RequireError(t, err, broach.InvalidArgument, broach.No)
	})
}

// What the outermost Interceptor returns without calling next is the outcome, if it can be one.
func TestACallersInterceptorThatNeverCallsNext(t *testing.T) {
	clustertest.InPair(t, echoes(), func(c *clustertest.Cluster, provider, caller *broach.Node) {
		ctx := context.Background()
		add := func(i broach.Interceptor) *broach.Caller { return caller.Caller("add", broach.CallInterceptors(i)) }
		sum, err := broach.Call[int](ctx, add(always(42, nil)))
		require.NoError(t, err)
		require.Equal(t, 42, sum)
		sum, err = broach.Bind[func(int, int) (int, error)](caller, "add", broach.CallInterceptors(always(42, nil)))(1,
			2)
		require.NoError(t, err)
		require.Equal(t, 42, sum)
		list, err := broach.Call[[]int](ctx, add(always(nil, nil)))
		require.NoError(t, err)
		require.Nil(t, list)
		_, err = broach.Call[struct{}](ctx, add(always(nil, nil)))
		require.NoError(t, err)
		v, err := add(always("anything", nil)).Call(ctx)
		require.NoError(t, err)
		require.Equal(t, "anything", v)
		require.NoError(t, add(always(nil, nil)).Send(ctx))

		two := broach.Bind[func(int) (string, int, error)](caller, "add",
			broach.CallInterceptors(always([]any{"a", 1}, nil)))
		text, n, err := two(1)
		require.NoError(t, err)
		require.Equal(t, []any{"a", 1}, []any{text, n})

		_, err = broach.Call[int](ctx, add(always(nil, nil)))
		require.Equal(t, "an Interceptor returned nil, want int",
			clustertest.RequireError(t, err, broach.Internal, broach.No).Message)
		_, err = broach.Call[int](ctx, add(always("42", nil)))
		require.Equal(t, "an Interceptor returned string, want int",
			clustertest.RequireError(t, err, broach.Internal, broach.No).Message)
		_, err = broach.Call[int](ctx, add(after("42", nil)), 1, 2)
		clustertest.RequireError(t, err, broach.Internal, broach.Yes)
		clustertest.RequireError(t, add(always(42, nil)).Send(ctx), broach.Internal, broach.No)
		for _, v := range []any{nil, "a", []any{"a"}, []any{"a", nil}, []any{"a", 1, 2}} {
			_, _, err = broach.Bind[func(int) (string, int, error)](caller, "add",
				broach.CallInterceptors(always(v, nil)))(1)
			clustertest.RequireError(t, err, broach.Internal, broach.No)
		}
		clustertest.RequireError(t, broach.Bind[func() error](caller, "add",
			broach.CallInterceptors(always([]any{}, nil)))(), broach.Internal, broach.No)
	})
}

// Every error of a call is an *Error, whatever an Interceptor returns, and what it returned is found in it.
func TestErrorsOfACallersInterceptor(t *testing.T) {
	clustertest.InPair(t, echoes(), func(c *clustertest.Cluster, provider, caller *broach.Node) {
		call := func(name string, i broach.Interceptor) error {
			_, err := caller.Caller(name, broach.CallInterceptors(i)).Call(context.Background())
			return err
		}
		e := clustertest.RequireError(t, call("none", always(nil, errOwn)), broach.Application, broach.No)
		require.ErrorIs(t, e, errOwn)
		require.Equal(t, "broach: none: Application: no milk (executed: no)", e.Error())
		require.ErrorIs(t,
			clustertest.RequireError(t, call("none", after(nil, errOwn)), broach.Application, broach.Yes), errOwn)
		clustertest.RequireError(t, call("nobody", after(nil, errOwn)), broach.Application, broach.No)
		made := broach.Errorf(broach.Unauthenticated, "who are you?")
		require.Same(t, made, call("none", always(nil, made)))
		require.ErrorIs(t, made, broach.ErrUnauthenticated)

		var seen error
		wrap := func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
			v, err := next(ctx, call)
			seen = err
			return v, fmt.Errorf("wrapped: %w", err)
		}
		err := call("fail", wrap)
		clustertest.RequireError(t, seen, 1042, broach.Yes)
		require.ErrorIs(t, err, &broach.Error{Code: 1042})
		require.Equal(t, broach.Code(1042), err.(*broach.Error).Code)
		require.Equal(t, broach.Yes, err.(*broach.Error).Executed)
		require.Equal(t, broach.No, call("nobody", wrap).(*broach.Error).Executed)
		clustertest.RequireError(t, seen, broach.NotFound, broach.No)

		clustertest.RequireError(t, call("none", always(nil, (*broach.Error)(nil))), broach.Internal, broach.No)
	})
}

// A panic takes down nothing but the call, and says whether the function may have run. The log has it without the
// arguments, and not more often than any panic.
func TestACallersInterceptorThatPanics(t *testing.T) {
	var log clustertest.SharedLog
	logger := slog.New(slog.NewTextHandler(&log, nil))
	clustertest.InPair(t, echoes(), func(c *clustertest.Cluster, provider, caller *broach.Node) {
		before := func(context.Context, *broach.Invocation, broach.Handler) (any, error) { panic("no milk") }
		behind := func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
			v, err := next(ctx, call)
			if err == nil {
				panic("no milk")
			}
			return v, err
		}
		for _, n := range []*broach.Node{caller, provider} {
			_, err := n.Caller("none", broach.CallInterceptors(before)).Call(context.Background())
			require.Equal(t, "an Interceptor of the caller panicked",
				clustertest.RequireError(t, err, broach.Internal, broach.No).Message)
			_, err = n.Caller("none", broach.CallInterceptors(behind)).Call(context.Background())
			clustertest.RequireError(t, err, broach.Internal, broach.Maybe)
			clustertest.RequireError(t, n.Caller("none", broach.CallInterceptors(before)).Send(context.Background()),
				broach.Internal, broach.No)
			_, err = broach.Bind[func(int, int) (int, error)](n, "add", broach.CallInterceptors(behind))(1, 2)
			clustertest.RequireError(t, err, broach.Internal, broach.Maybe)
			_, err = n.Caller("none").Call(context.Background())
			require.NoError(t, err)
			for range 20 {
				_, err = n.Caller("none", broach.CallInterceptors(before)).Call(context.Background(), "secret")
				clustertest.RequireError(t, err, broach.Internal, broach.No)
			}
		}
		time.Sleep(time.Second)
		require.Equal(t, 10, strings.Count(log.String(), `panic="no milk"`))
		require.NotContains(t, log.String(), "secret")
	}, func(cfg *broach.Config) { cfg.Logger = logger })
}

// ctx has the call's deadline, so an Interceptor that waits for it ends in time.
func TestACallersInterceptorThatWaits(t *testing.T) {
	clustertest.InPair(t, echoes(), func(c *clustertest.Cluster, provider, caller *broach.Node) {
		wait := func(ctx context.Context, _ *broach.Invocation, _ broach.Handler) (any, error) {
			<-ctx.Done()
			return nil, fmt.Errorf("waiting: %w", ctx.Err())
		}
		start := time.Now()
		_, err := caller.Caller("none", broach.Timeout(time.Second),
			broach.CallInterceptors(wait)).Call(context.Background())
		require.ErrorIs(t, clustertest.RequireError(t, err, broach.DeadlineExceeded, broach.No),
			context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(start))
		_, err = caller.Caller("none", broach.CallInterceptors(wait)).Call(context.Background())
		clustertest.RequireError(t, err, broach.DeadlineExceeded, broach.No)
		require.Equal(t, time.Second+6*time.Second, time.Since(start))

		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(time.Second, cancel)
		_, err = caller.Caller("none", broach.CallInterceptors(wait)).Call(ctx)
		require.ErrorIs(t, clustertest.RequireError(t, err, broach.Canceled, broach.No), context.Canceled)
		_, err = caller.Caller("none", broach.CallInterceptors(wait)).Call(ctx)
		clustertest.RequireError(t, err, broach.Canceled, broach.No)

		_, err = caller.Caller("hang", broach.Timeout(time.Second),
			broach.CallInterceptors(pass)).Call(context.Background())
		clustertest.RequireError(t, err, broach.DeadlineExceeded, broach.Maybe)
	})
}

// next may be called again: an Interceptor makes its own retries.
func TestACallersInterceptorMayCallNextAgain(t *testing.T) {
	clustertest.InPair(t, nil, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		ran := 0
		clustertest.Offer(c, provider, caller, "third", func() (int, error) {
			if ran++; ran < 3 {
				return 0, errors.New("not yet")
			}
			return ran, nil
		})
		again := func(ctx context.Context, call *broach.Invocation, next broach.Handler) (v any, err error) {
			for range 3 {
				if v, err = next(ctx, call); err == nil {
					break
				}
			}
			return v, err
		}
		v, err := broach.Call[int](context.Background(), caller.Caller("third", broach.CallInterceptors(again)))
		require.NoError(t, err)
		require.Equal(t, 3, v)
	})
}

// All asks each provider by a call of its own.
func TestAllIsInterceptedForEachProvider(t *testing.T) {
	inTrio(t, func(c *clustertest.Cluster, caller *broach.Node) {
		s, got := new(steps), map[any]bool{}
		for r := range caller.Caller("which", broach.CallInterceptors(s.interceptor("i"))).All(context.Background()) {
			require.NoError(t, r.Err)
			got[r.Value] = true
		}
		require.Equal(t, map[any]bool{1: true, 2: true}, got)
		require.ElementsMatch(t, []string{"i", "i", "/i", "/i"}, s.take())
	})
}

// A call that an Interceptor has begun with next and does not wait for ends with the Interceptor, whether it is on its
// way, runs in this process, or is hedged.
func TestWhatNextHasBegunEndsWithTheInterceptor(t *testing.T) {
	clustertest.InPair(t, nil, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		beganc, endc := make(chan struct{}), make(chan error, 1)
		hang := func(ctx context.Context) error {
			beganc <- struct{}{}
			return clustertest.Hang(ctx)
		}
		clustertest.Offer(c, provider, caller, "hang", hang, broach.Idempotent())
		leave := func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
			go func() {
				_, err := next(ctx, call)
				endc <- err
			}()
			<-beganc
			return nil, broach.Errorf(1042, "enough")
		}
		for _, n := range []*broach.Node{caller, provider} {
			for _, o := range []broach.CallOption{broach.Timeout(time.Minute), broach.Hedge(time.Second)} {
				ctx, cancel := context.WithCancel(c.T.Context())
				defer cancel()
				for _, ctx := range []context.Context{context.Background(), ctx} {
					start := time.Now()
					_, err := n.Caller("hang", o, broach.CallInterceptors(leave)).Call(ctx)
					require.ErrorIs(t, err, &broach.Error{Code: 1042})
					require.ErrorIs(t, <-endc, &broach.Error{Code: broach.Canceled})
					require.Less(t, time.Since(start), time.Second)
				}
			}
		}
		requireNothingLeft(c)
	})
}

// What a Span carries goes along with each of the calls that an Interceptor makes at once, beside metadata that are
// those of this call alone.
func TestATracerAndACallThatIsMadeTwiceAtOnce(t *testing.T) {
	tr := &tracer{carry: []string{"traceparent", "00-1"}}
	inTraced(t, tr, func(c *clustertest.Cluster, n *broach.Node) {
		require.NoError(t, c.Nodes[1].Register("meta", func(ctx context.Context) string {
			in, _ := broach.InvocationFrom(ctx)
			return in.Meta()["turn"] + " " + in.Meta()["traceparent"]
		}))
		require.NoError(t, n.WaitFor(c.T.Context(), "meta", 1))
		var got [2]any
		twice := func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
			var all sync.WaitGroup
			for i := range got {
				one := *call
				one.Meta()["turn"] = fmt.Sprint(i)
				all.Go(func() { got[i], _ = next(ctx, &one) })
			}
			all.Wait()
			return "", nil
		}
		_, err := n.Caller("meta", broach.CallInterceptors(twice)).Call(c.T.Context())
		require.NoError(t, err)
		require.Equal(t, [2]any{"0 00-1", "1 00-1"}, got)
		asked := slices.DeleteFunc(tr.take(), func(step string) bool { return step != "carry" })
		require.Len(t, asked, 1, "it is asked by one at a time")
	})
}
