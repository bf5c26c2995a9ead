package broach

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// echoes are what the tests of the caller's side call: its result tells what came.
func echoes() map[string]any {
	return map[string]any{
		"echo": func(ctx context.Context, x int) string { in, _ := InvocationFrom(ctx); return fmt.Sprint(x, in.Meta) },
		"add":  func(x, y int) int { return x + y },
		"fail": func() error { return Errorf(1042, "no milk") },
		"none": func() {},
		"hang": hang,
	}
}

func TestACallersInterceptorChangesTheCall(t *testing.T) {
	inPair(t, echoes(), func(c *cluster, provider, caller *Node) {
		for _, n := range []*Node{caller, provider} {
			change := func(ctx context.Context, call *Invocation, next Handler) (any, error) {
				require.Equal(t, Invocation{"echo", n.Addr(), map[string]string{"a": "1"}, []any{7}}, *call)
				call.Args[0], call.Meta["b"], call.Service = 8, "2", "ignored"
				v, err := next(ctx, call)
				return v.(string) + "!", err
			}
			args := []any{7}
			got, err := Call[string](context.Background(), n.Caller("echo", Meta("a", "1"), CallInterceptors(change)), args...)
			require.NoError(t, err)
			require.Equal(t, "8 map[a:1 b:2]!", got)
			require.Equal(t, []any{7}, args, "the caller's own list is as it was")
			got, err = Call[string](context.Background(), n.Caller("echo", Meta("a", "1")), 7)
			require.NoError(t, err)
			require.Equal(t, "7 map[a:1]", got, "and so are the options")
		}
		instead := func(ctx context.Context, call *Invocation, next Handler) (any, error) {
			require.NotNil(t, call.Meta)
			return next(ctx, &Invocation{Args: append(call.Args, 5)})
		}
		sum, err := Call[int](context.Background(), caller.Caller("add", CallInterceptors(instead)), 4)
		require.NoError(t, err)
		require.Equal(t, 9, sum)
	})
}

// Metadata that an Interceptor makes are held to the same rules as those of options.
func TestMetadataOfInterceptorsHaveLimits(t *testing.T) {
	inPair(t, echoes(), func(c *cluster, provider, caller *Node) {
		for _, key := range []string{"", "\x00k", "\xff", string(make([]byte, 256))} {
			wrong := func(ctx context.Context, call *Invocation, next Handler) (any, error) {
				call.Meta[key] = "v"
				return next(ctx, call)
			}
			_, err := caller.Caller("none", CallInterceptors(wrong)).Call(context.Background())
			requireError(t, err, InvalidArgument, No)
		}
		much := func(ctx context.Context, call *Invocation, next Handler) (any, error) {
			call.Meta["k"] = string(make([]byte, 8192))
			return next(ctx, call)
		}
		_, err := caller.Caller("none", CallInterceptors(much)).Call(context.Background())
		requireError(t, err, InvalidArgument, No)
	})
}

// What the outermost Interceptor returns without calling next is the outcome, if it can be one.
func TestACallersInterceptorThatNeverCallsNext(t *testing.T) {
	inPair(t, echoes(), func(c *cluster, provider, caller *Node) {
		ctx := context.Background()
		add := func(i Interceptor) *Caller { return caller.Caller("add", CallInterceptors(i)) }
		sum, err := Call[int](ctx, add(always(42, nil)))
		require.NoError(t, err)
		require.Equal(t, 42, sum)
		sum, err = Bind[func(int, int) (int, error)](caller, "add", CallInterceptors(always(42, nil)))(1, 2)
		require.NoError(t, err)
		require.Equal(t, 42, sum)
		list, err := Call[[]int](ctx, add(always(nil, nil)))
		require.NoError(t, err)
		require.Nil(t, list)
		_, err = Call[struct{}](ctx, add(always(nil, nil)))
		require.NoError(t, err)
		v, err := add(always("anything", nil)).Call(ctx)
		require.NoError(t, err)
		require.Equal(t, "anything", v)
		require.NoError(t, add(always(nil, nil)).Send(ctx))

		two := Bind[func(int) (string, int, error)](caller, "add", CallInterceptors(always([]any{"a", 1}, nil)))
		text, n, err := two(1)
		require.NoError(t, err)
		require.Equal(t, []any{"a", 1}, []any{text, n})

		_, err = Call[int](ctx, add(always(nil, nil)))
		require.Equal(t, "an Interceptor returned nil, want int", requireError(t, err, Internal, No).Message)
		_, err = Call[int](ctx, add(always("42", nil)))
		require.Equal(t, "an Interceptor returned string, want int", requireError(t, err, Internal, No).Message)
		_, err = Call[int](ctx, add(after("42", nil)), 1, 2)
		requireError(t, err, Internal, Yes)
		requireError(t, add(always(42, nil)).Send(ctx), Internal, No)
		for _, v := range []any{nil, "a", []any{"a"}, []any{"a", nil}, []any{"a", 1, 2}} {
			_, _, err = Bind[func(int) (string, int, error)](caller, "add", CallInterceptors(always(v, nil)))(1)
			requireError(t, err, Internal, No)
		}
		requireError(t, Bind[func() error](caller, "add", CallInterceptors(always([]any{}, nil)))(), Internal, No)
	})
}

// Every error of a call is an *Error, whatever an Interceptor returns, and what it returned is found in it.
func TestErrorsOfACallersInterceptor(t *testing.T) {
	inPair(t, echoes(), func(c *cluster, provider, caller *Node) {
		call := func(name string, i Interceptor) error {
			_, err := caller.Caller(name, CallInterceptors(i)).Call(context.Background())
			return err
		}
		e := requireError(t, call("none", always(nil, errOwn)), Application, No)
		require.ErrorIs(t, e, errOwn)
		require.Equal(t, "broach: none: Application: no milk (executed: no)", e.Error())
		require.ErrorIs(t, requireError(t, call("none", after(nil, errOwn)), Application, Yes), errOwn)
		requireError(t, call("nobody", after(nil, errOwn)), Application, No)
		made := Errorf(Unauthenticated, "who are you?")
		require.Same(t, made, call("none", always(nil, made)))
		require.ErrorIs(t, made, ErrUnauthenticated)

		var seen error
		wrap := func(ctx context.Context, call *Invocation, next Handler) (any, error) {
			v, err := next(ctx, call)
			seen = err
			return v, fmt.Errorf("wrapped: %w", err)
		}
		err := call("fail", wrap)
		requireError(t, seen, 1042, Yes)
		require.ErrorIs(t, err, &Error{Code: 1042})
		require.Equal(t, Application, err.(*Error).Code)
		require.Equal(t, Yes, err.(*Error).Executed)
		require.Equal(t, No, call("nobody", wrap).(*Error).Executed)
		requireError(t, seen, NotFound, No)

		requireError(t, call("none", always(nil, (*Error)(nil))), Internal, No)
	})
}

// A panic takes down nothing but the call, and says whether the function may have run. The log has it without the
// arguments, and not more often than any panic.
func TestACallersInterceptorThatPanics(t *testing.T) {
	var log sharedLog
	logger := slog.New(slog.NewTextHandler(&log, nil))
	inPair(t, echoes(), func(c *cluster, provider, caller *Node) {
		before := func(context.Context, *Invocation, Handler) (any, error) { panic("no milk") }
		behind := func(ctx context.Context, call *Invocation, next Handler) (any, error) {
			v, err := next(ctx, call)
			if err == nil {
				panic("no milk")
			}
			return v, err
		}
		for _, n := range []*Node{caller, provider} {
			_, err := n.Caller("none", CallInterceptors(before)).Call(context.Background())
			require.Equal(t, "an Interceptor of the caller panicked", requireError(t, err, Internal, No).Message)
			_, err = n.Caller("none", CallInterceptors(behind)).Call(context.Background())
			requireError(t, err, Internal, Maybe)
			requireError(t, n.Caller("none", CallInterceptors(before)).Send(context.Background()), Internal, No)
			_, err = Bind[func(int, int) (int, error)](n, "add", CallInterceptors(behind))(1, 2)
			requireError(t, err, Internal, Maybe)
			_, err = n.Caller("none").Call(context.Background())
			require.NoError(t, err)
			for range 20 {
				_, err = n.Caller("none", CallInterceptors(before)).Call(context.Background(), "secret")
				requireError(t, err, Internal, No)
			}
		}
		time.Sleep(time.Second)
		require.Equal(t, 10, strings.Count(log.String(), `panic="no milk"`))
		require.NotContains(t, log.String(), "secret")
	}, func(cfg *Config) { cfg.Logger = logger })
}

// ctx has the call's deadline, so an Interceptor that waits for it ends in time.
func TestACallersInterceptorThatWaits(t *testing.T) {
	inPair(t, echoes(), func(c *cluster, provider, caller *Node) {
		wait := func(ctx context.Context, _ *Invocation, _ Handler) (any, error) {
			<-ctx.Done()
			return nil, fmt.Errorf("waiting: %w", ctx.Err())
		}
		start := time.Now()
		_, err := caller.Caller("none", Timeout(time.Second), CallInterceptors(wait)).Call(context.Background())
		require.ErrorIs(t, requireError(t, err, DeadlineExceeded, No), context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(start))
		_, err = caller.Caller("none", CallInterceptors(wait)).Call(context.Background())
		requireError(t, err, DeadlineExceeded, No)
		require.Equal(t, time.Second+defaultCallTimeout, time.Since(start))

		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(time.Second, cancel)
		_, err = caller.Caller("none", CallInterceptors(wait)).Call(ctx)
		require.ErrorIs(t, requireError(t, err, Canceled, No), context.Canceled)
		_, err = caller.Caller("none", CallInterceptors(wait)).Call(ctx)
		requireError(t, err, Canceled, No)

		_, err = caller.Caller("hang", Timeout(time.Second), CallInterceptors(pass)).Call(context.Background())
		requireError(t, err, DeadlineExceeded, Maybe)
	})
}

// next may be called again: an Interceptor makes its own retries.
func TestACallersInterceptorMayCallNextAgain(t *testing.T) {
	inPair(t, nil, func(c *cluster, provider, caller *Node) {
		ran := 0
		offer(c, provider, caller, "third", func() (int, error) {
			if ran++; ran < 3 {
				return 0, errors.New("not yet")
			}
			return ran, nil
		})
		again := func(ctx context.Context, call *Invocation, next Handler) (v any, err error) {
			for range 3 {
				if v, err = next(ctx, call); err == nil {
					break
				}
			}
			return v, err
		}
		v, err := Call[int](context.Background(), caller.Caller("third", CallInterceptors(again)))
		require.NoError(t, err)
		require.Equal(t, 3, v)
	})
}

// An execution is what is sure of all calls that were made: one that ran is enough for Yes, one that may have for
// Maybe.
func TestExecutionsAddUp(t *testing.T) {
	for _, c := range []struct {
		ended []Executed
		want  Executed
	}{{nil, No}, {[]Executed{No, No}, No}, {[]Executed{No, Maybe}, Maybe}, {[]Executed{Maybe, Yes, No}, Yes}} {
		var x execution
		for _, e := range c.ended {
			x.begin()
			require.NotEqual(t, No, x.outcome(), "one is under way")
			x.end(e)
		}
		require.Equal(t, c.want, x.outcome())
	}
}

// All asks each provider by a call of its own.
func TestAllIsInterceptedForEachProvider(t *testing.T) {
	inTrio(t, func(c *cluster, caller *Node) {
		s, got := new(steps), map[any]bool{}
		for r := range caller.Caller("which", CallInterceptors(s.interceptor("i"))).All(context.Background()) {
			require.NoError(t, r.Err)
			got[r.Value] = true
		}
		require.Equal(t, map[any]bool{1: true, 2: true}, got)
		require.ElementsMatch(t, []string{"i", "i", "/i", "/i"}, s.take())
	})
}
