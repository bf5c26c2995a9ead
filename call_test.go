package broach

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broach/internal/function"

	"github.com/stretchr/testify/require"
)

// inPair runs a test on a provider of some functions and a caller that knows them.
func inPair(t *testing.T, functions map[string]any, test func(c *cluster, provider, caller *Node), edit ...func(*Config)) {
	inCluster(t, 1, func(c *cluster) {
		for _, e := range edit {
			c.edit = e
		}
		provider, caller := c.start(0), c.start(1, 0)
		for name, fn := range functions {
			offer(c, provider, caller, name, fn)
		}
		test(c, provider, caller)
	})
}

// offer registers a function and waits until the caller knows.
func offer(c *cluster, provider, caller *Node, name string, fn any, opts ...RegisterOption) {
	require.NoError(c.t, provider.Register(name, fn, opts...))
	require.NoError(c.t, caller.WaitFor(c.t.Context(), name, 1))
}

// requireError holds the error of a call to its code and to what it says of the function.
func requireError(t *testing.T, err error, code Code, executed Executed) *Error {
	t.Helper()
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, code, e.Code, e.Message)
	require.Equal(t, executed, e.Executed, e.Message)
	require.ErrorIs(t, err, &Error{Code: code})
	return e
}

// hang is a function that does not return before its caller is gone.
func hang(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestErrorsThatHandlersMake(t *testing.T) {
	functions := map[string]any{
		"fails":   func() error { return errors.New("no milk") },
		"chooses": func() error { return Errorf(1042, "no milk") },
		"panics":  func() { panic("no milk") },
		"exits":   func() { runtime.Goexit() },
		"garbles": func() any { return make(chan int) },
		"add":     func(x, y int) int { return x + y },
	}
	inPair(t, functions, func(c *cluster, provider, caller *Node) {
		for _, n := range []*Node{provider, caller} {
			call := func(name string, args ...any) error {
				_, err := n.Caller(name).Call(c.t.Context(), args...)
				return err
			}
			e := requireError(c.t, call("fails"), Application, Yes)
			require.Equal(c.t, Error{Code: Application, Message: "no milk", Service: "fails", Node: provider.Addr().String(), Executed: Yes}, *e)
			requireError(c.t, call("chooses"), 1042, Yes)
			require.Equal(c.t, "the function panicked", requireError(c.t, call("panics"), Internal, Yes).Message, "with what is not the caller's business")
			requireError(c.t, call("exits"), Internal, Yes)
			requireError(c.t, call("garbles"), Internal, Yes)
			require.ErrorIs(c.t, requireError(c.t, call("add", 1), InvalidArgument, No), ErrInvalidArgument)
			require.NoError(c.t, call("add", 1, 2), "none of them harmed the node")
		}
	})
}

// A function that blocks for ever takes nothing but its worker.
func TestABlockedHandlerHarmsOnlyItsCall(t *testing.T) {
	inPair(t, map[string]any{"add": func(x, y int) int { return x + y }}, func(c *cluster, provider, caller *Node) {
		free := make(chan struct{}, 2)
		offer(c, provider, caller, "stuck", func() { <-free })
		for _, n := range []*Node{provider, caller} {
			failed := make(chan error, 1)
			ctx, cancel := context.WithTimeout(c.t.Context(), time.Second)
			defer cancel()
			go func() {
				_, err := n.Caller("stuck").Call(ctx)
				failed <- err
			}()
			time.Sleep(10 * time.Millisecond)
			sum, err := Call[int](c.t.Context(), n.Caller("add"), 1, 2)
			require.NoError(c.t, err)
			require.Equal(c.t, 3, sum)
			e := requireError(c.t, <-failed, DeadlineExceeded, Maybe)
			require.ErrorIs(c.t, e, context.DeadlineExceeded)
			require.ErrorIs(c.t, e, ErrDeadlineExceeded)
			free <- struct{}{}
		}
	})
}

func TestADeadlineEndsACall(t *testing.T) {
	inPair(t, map[string]any{"sleep": func() { time.Sleep(5 * time.Second) }}, func(c *cluster, provider, caller *Node) {
		for _, n := range []*Node{provider, caller} {
			ctx, cancel := context.WithTimeout(c.t.Context(), 300*time.Millisecond)
			start := time.Now()
			_, err := n.Caller("sleep").Call(ctx)
			cancel()
			requireError(c.t, err, DeadlineExceeded, Maybe)
			require.InDelta(c.t, 300, time.Since(start).Milliseconds(), 2)

			start = time.Now()
			_, err = n.Caller("sleep").Call(c.t.Context())
			requireError(c.t, err, DeadlineExceeded, Maybe)
			require.InDelta(c.t, 2000, time.Since(start).Milliseconds(), 2, "Config.CallTimeout, as ctx has no deadline")

			past, cancel := context.WithDeadline(c.t.Context(), time.Now())
			_, err = n.Caller("sleep").Call(past)
			cancel()
			requireError(c.t, err, DeadlineExceeded, No)
		}
		time.Sleep(5 * time.Second) // the functions end
	}, func(cfg *Config) { cfg.CallTimeout = 2 * time.Second })
}

// The function's context ends with the caller's deadline.
func TestTheDeadlineTravels(t *testing.T) {
	left := func(ctx context.Context) time.Duration {
		deadline, _ := ctx.Deadline()
		return time.Until(deadline)
	}
	inPair(t, map[string]any{"left": left}, func(c *cluster, provider, caller *Node) {
		for _, n := range []*Node{provider, caller} {
			ctx, cancel := context.WithTimeout(c.t.Context(), 700*time.Millisecond)
			d, err := Call[time.Duration](ctx, n.Caller("left"))
			cancel()
			require.NoError(c.t, err)
			require.InDelta(c.t, 700, d.Milliseconds(), 2)
			d, err = Call[time.Duration](c.t.Context(), n.Caller("left"))
			require.NoError(c.t, err)
			require.InDelta(c.t, defaultCallTimeout.Milliseconds(), d.Milliseconds(), 2)
		}
	})
}

func TestACallerThatGivesUpEndsTheFunction(t *testing.T) {
	inPair(t, nil, func(c *cluster, provider, caller *Node) {
		ended := make(chan error, 1)
		offer(c, provider, caller, "watched", func(ctx context.Context) {
			<-ctx.Done()
			ended <- ctx.Err()
		})
		for _, n := range []*Node{provider, caller} {
			ctx, cancel := context.WithCancel(c.t.Context())
			time.AfterFunc(50*time.Millisecond, cancel)
			_, err := n.Caller("watched").Call(ctx)
			e := requireError(c.t, err, Canceled, Maybe)
			require.ErrorIs(c.t, e, context.Canceled)
			require.ErrorIs(c.t, e, ErrCanceled)
			require.ErrorIs(c.t, <-ended, context.Canceled)
		}
	})
}

// A name that is not known is waited for while the node joins, for min(deadline, 1 s).
func TestAnUnknownNameWhileJoining(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		n := c.start(1, 0) // the seed is down
		start := time.Now()
		_, err := n.Caller("work01").Call(c.t.Context())
		requireError(c.t, err, NotFound, No)
		require.Equal(c.t, time.Second, time.Since(start))

		start = time.Now()
		ctx, cancel := context.WithTimeout(c.t.Context(), 200*time.Millisecond)
		defer cancel()
		_, err = n.Caller("work01").Call(ctx)
		requireError(c.t, err, DeadlineExceeded, No)
		require.Equal(c.t, 200*time.Millisecond, time.Since(start))

		require.NoError(c.t, c.start(0).Register("work01", func() int { return 1 }))
		c.until(10*time.Second, "the seed is found", func() bool { return count(n, Alive) == 1 })
		_, err = n.Caller("work01").Call(c.t.Context())
		require.NoError(c.t, err)
	})
}

func TestACallMeetsAProviderThatStartsMeanwhile(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		provider := c.start(0)
		require.NoError(c.t, provider.Register("work01", func() int { return 1 }))
		start := time.Now()
		_, err := c.start(1, 0).Caller("work01").Call(c.t.Context())
		require.NoError(c.t, err)
		require.Less(c.t, time.Since(start), 200*time.Millisecond)
	})
}

func TestAnUnknownNameFailsAtOnceOnceJoined(t *testing.T) {
	inPair(t, map[string]any{"known": func() {}}, func(c *cluster, provider, caller *Node) {
		c.until(5*time.Second, "joined", func() bool { return caller.calling.view.Load().joined })
		start := time.Now()
		_, err := caller.Caller("unknown").Call(c.t.Context())
		requireError(c.t, err, NotFound, No)
		require.ErrorIs(c.t, err, ErrNotFound)
		require.Zero(c.t, time.Since(start))
	})
}

func TestACallFailsAtOnceWhenAllProvidersAreOffline(t *testing.T) {
	inPair(t, map[string]any{"add": func(x, y int) int { return x + y }}, func(c *cluster, provider, caller *Node) {
		c.kill(provider)
		c.until(5*time.Second, "the provider is offline", func() bool { return count(caller, Offline) == 1 })
		start := time.Now()
		_, err := caller.Caller("add").Call(c.t.Context(), 1, 2)
		requireError(c.t, err, Unavailable, No)
		require.Zero(c.t, time.Since(start))
	})
}

func TestACallInFlightToAProviderThatDies(t *testing.T) {
	inPair(t, map[string]any{"hang": hang}, func(c *cluster, provider, caller *Node) {
		time.AfterFunc(100*time.Millisecond, func() { c.net.Pause(provider.Addr()) })
		start := time.Now()
		_, err := caller.Caller("hang").Call(c.t.Context())
		e := requireError(c.t, err, Unreachable, Maybe)
		require.Equal(c.t, provider.Addr().String(), e.Node)
		require.Less(c.t, time.Since(start), 3*time.Second, "long before the deadline")
		c.net.Resume(provider.Addr())
	})
}

// A provider that has just taken the function back answers that it does not have it; another one is asked.
func TestAStaleRouteIsAnsweredByAnotherProvider(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		c.startAll(3)
		for i, n := range c.nodes[:2] {
			require.NoError(c.t, n.Register("which", func() int { return i }))
		}
		caller := c.nodes[2]
		require.NoError(c.t, caller.WaitFor(c.t.Context(), "which", 2))
		require.NoError(c.t, c.nodes[0].Unregister("which"))
		for range 20 {
			go func() {
				i, err := Call[int](c.t.Context(), caller.Caller("which"))
				require.NoError(c.t, err)
				require.Equal(c.t, 1, i)
			}()
		}
		require.Len(c.t, caller.calling.view.Load().routes.get("which").candidates(), 2, "nobody has told the caller yet")
		time.Sleep(time.Second)
		require.Len(c.t, caller.calling.view.Load().routes.get("which").candidates(), 1)
		require.NoError(c.t, c.nodes[1].Unregister("which"))
		_, err := caller.Caller("which").Call(c.t.Context())
		requireError(c.t, err, NotFound, No)
	})
}

func TestMessagesThatAreTooLarge(t *testing.T) {
	var ran atomic.Int32
	functions := map[string]any{
		"take": func(b []byte) { ran.Add(1) },
		"give": func(n int) []byte { return make([]byte, n) },
	}
	inPair(t, functions, func(c *cluster, provider, caller *Node) {
		for _, n := range []*Node{provider, caller} {
			ran.Store(0)
			_, err := n.Caller("take").Call(c.t.Context(), make([]byte, 4096-3))
			requireError(c.t, err, TooLarge, No)
			require.Zero(c.t, ran.Load())
			// with a head of 4 bytes, just what is allowed
			_, err = n.Caller("take").Call(c.t.Context(), make([]byte, 4096-4))
			require.NoError(c.t, err)
			require.EqualValues(c.t, 1, ran.Load())
			_, err = n.Caller("give").Call(c.t.Context(), 4096)
			requireError(c.t, err, TooLarge, Yes)
			_, err = n.Caller("give").Call(c.t.Context(), 4096-5)
			require.NoError(c.t, err)
		}
	}, func(cfg *Config) { cfg.MaxMessage = 4096 })
}

// [VAL-3] A description that is malformed, or has an unknown code, makes the reply undecodable: Internal, executed yes.
func TestAnUndecodableResultIsInternal(t *testing.T) {
	inPair(t, map[string]any{"odd": func() int { return 1 }}, func(c *cluster, provider, caller *Node) {
		provider.serving.offered.get("odd").Func = function.Raw("odd", func(dst []byte) ([]byte, error) { return append(dst, 1, 99, 5), nil })
		_, err := caller.Caller("odd").Call(c.t.Context())
		e := requireError(c.t, err, Internal, Yes)
		require.Equal(c.t, "odd", e.Service)
		require.NotContains(c.t, e.Message, "broach:", "the text of the codec's error, not the whole of it")
		_, err = Bind[func() (int, error)](caller, "odd")()
		requireError(c.t, err, Internal, Yes)
	})
}

// Names that begin with "__" can be called in their own process only.
func TestPrivateFunctions(t *testing.T) {
	inPair(t, map[string]any{"public": func() {}}, func(c *cluster, provider, caller *Node) {
		require.NoError(c.t, provider.Register("__private", func() int { return 1 }))
		v, err := provider.Caller("__private").Call(c.t.Context())
		require.NoError(c.t, err)
		require.Equal(c.t, 1, v)

		time.Sleep(2 * time.Second)
		_, err = caller.Caller("__private").Call(c.t.Context())
		requireError(c.t, err, NotFound, No)
		for _, n := range c.nodes {
			require.Len(c.t, n.Services(), 1)
		}
		_, failed := caller.Caller("__private").attempt(c.t.Context(), time.Now(), caller.linking.tokens.all()[0].visit(), outCall{deadline: time.Now().Add(time.Second)})
		requireError(c.t, failed, NotFound, No)
	})
}

// The calls of many goroutines on one Caller do not get in each other's way.
func TestManyGoroutinesShareACaller(t *testing.T) {
	inPair(t, map[string]any{"add": func(x, y int) int { return x + y }}, func(c *cluster, provider, caller *Node) {
		add := caller.Caller("add")
		var calls sync.WaitGroup
		for i := range 64 {
			calls.Go(func() {
				for j := range 20 {
					sum, err := Call[int](c.t.Context(), add, i, j)
					require.NoError(c.t, err)
					require.Equal(c.t, i+j, sum)
				}
			})
		}
		calls.Wait()
	})
}
