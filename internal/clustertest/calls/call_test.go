package calls

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

func TestErrorsThatHandlersMake(t *testing.T) {
	functions := map[string]any{
		"fails":   func() error { return errors.New("no milk") },
		"chooses": func() error { return broach.Errorf(1042, "no milk") },
		"panics":  func() { panic("no milk") },
		"exits":   func() { runtime.Goexit() },
		"garbles": func() any { return make(chan int) },
		"add":     func(x, y int) int { return x + y },
	}
	clustertest.InPair(t, functions, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		for _, n := range []*broach.Node{provider, caller} {
			call := func(name string, args ...any) error {
				_, err := n.Caller(name).Call(c.T.Context(), args...)
				return err
			}
			e := clustertest.RequireError(c.T, call("fails"), broach.Application, broach.Yes)
			require.Equal(c.T, broach.Error{Code: broach.Application, Message: "no milk", Service: "fails",
				Node: provider.Addr().String(), Executed: broach.Yes}, *e)
			clustertest.RequireError(c.T, call("chooses"), 1042, broach.Yes)
			require.Equal(c.T, "the function panicked",
				clustertest.RequireError(c.T, call("panics"), broach.Internal, broach.Yes).Message,
				"with what is not the caller's business")
			clustertest.RequireError(c.T, call("exits"), broach.Internal, broach.Yes)
			clustertest.RequireError(c.T, call("garbles"), broach.Internal, broach.Yes)
			require.ErrorIs(c.T, clustertest.RequireError(c.T, call("add", 1), broach.InvalidArgument, broach.No),
				broach.ErrInvalidArgument)
			require.NoError(c.T, call("add", 1, 2), "none of them harmed the node")
		}
	})
}

// A function that blocks for ever takes nothing but its worker.
func TestABlockedHandlerHarmsOnlyItsCall(t *testing.T) {
	clustertest.InPair(t, map[string]any{"add": func(x, y int) int { return x + y }}, func(
		c *clustertest.Cluster, provider, caller *broach.Node,
	) {
		free := make(chan struct{}, 2)
		clustertest.Offer(c, provider, caller, "stuck", func() { <-free })
		for _, n := range []*broach.Node{provider, caller} {
			failed := make(chan error, 1)
			ctx, cancel := context.WithTimeout(c.T.Context(), time.Second)
			defer cancel()
			go func() {
				_, err := n.Caller("stuck").Call(ctx)
				failed <- err
			}()
			time.Sleep(10 * time.Millisecond)
			sum, err := broach.Call[int](c.T.Context(), n.Caller("add"), 1, 2)
			require.NoError(c.T, err)
			require.Equal(c.T, 3, sum)
			e := clustertest.RequireError(c.T, <-failed, broach.DeadlineExceeded, broach.Maybe)
			require.ErrorIs(c.T, e, context.DeadlineExceeded)
			require.ErrorIs(c.T, e, broach.ErrDeadlineExceeded)
			free <- struct{}{}
		}
	})
}

func TestADeadlineEndsACall(t *testing.T) {
	clustertest.InPair(t, map[string]any{"sleep": func() { time.Sleep(5 * time.Second) }}, func(
		c *clustertest.Cluster, provider, caller *broach.Node,
	) {
		for _, n := range []*broach.Node{provider, caller} {
			ctx, cancel := context.WithTimeout(c.T.Context(), 300*time.Millisecond)
			start := time.Now()
			_, err := n.Caller("sleep").Call(ctx)
			cancel()
			clustertest.RequireError(c.T, err, broach.DeadlineExceeded, broach.Maybe)
			require.InDelta(c.T, 300, time.Since(start).Milliseconds(), 2)

			start = time.Now()
			_, err = n.Caller("sleep").Call(c.T.Context())
			clustertest.RequireError(c.T, err, broach.DeadlineExceeded, broach.Maybe)
			require.InDelta(c.T, 2000, time.Since(start).Milliseconds(), 2,
				"Config.CallTimeout, as ctx has no deadline")

			past, cancel := context.WithDeadline(c.T.Context(), time.Now())
			_, err = n.Caller("sleep").Call(past)
			cancel()
			clustertest.RequireError(c.T, err, broach.DeadlineExceeded, broach.No)
		}
		time.Sleep(5 * time.Second) // the functions end
	}, func(cfg *broach.Config) { cfg.CallTimeout = 2 * time.Second })
}

// The function's context ends with the caller's deadline.
func TestTheDeadlineTravels(t *testing.T) {
	left := func(ctx context.Context) time.Duration {
		deadline, _ := ctx.Deadline()
		return time.Until(deadline)
	}
	clustertest.InPair(t, map[string]any{"left": left}, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		for _, n := range []*broach.Node{provider, caller} {
			ctx, cancel := context.WithTimeout(c.T.Context(), 700*time.Millisecond)
			d, err := broach.Call[time.Duration](ctx, n.Caller("left"))
			cancel()
			require.NoError(c.T, err)
			require.InDelta(c.T, 700, d.Milliseconds(), 2)
			d, err = broach.Call[time.Duration](c.T.Context(), n.Caller("left"))
			require.NoError(c.T, err)
			require.InDelta(c.T, 6_000, d.Milliseconds(), 2)
		}
	})
}

func TestACallerThatGivesUpEndsTheFunction(t *testing.T) {
	clustertest.InPair(t, nil, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		ended := make(chan error, 1)
		clustertest.Offer(c, provider, caller, "watched", func(ctx context.Context) {
			<-ctx.Done()
			ended <- ctx.Err()
		})
		for _, n := range []*broach.Node{provider, caller} {
			ctx, cancel := context.WithCancel(c.T.Context())
			time.AfterFunc(50*time.Millisecond, cancel)
			_, err := n.Caller("watched").Call(ctx)
			e := clustertest.RequireError(c.T, err, broach.Canceled, broach.Maybe)
			require.ErrorIs(c.T, e, context.Canceled)
			require.ErrorIs(c.T, e, broach.ErrCanceled)
			require.ErrorIs(c.T, <-ended, context.Canceled)
		}
	})
}

// A name that is not known is waited for while the node joins, for min(deadline, 1 s).
func TestAnUnknownNameWhileJoining(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		n := c.Start(1, 0) // the seed is down
		start := time.Now()
		_, err := n.Caller("work01").Call(c.T.Context())
		clustertest.RequireError(c.T, err, broach.NotFound, broach.No)
		require.Equal(c.T, time.Second, time.Since(start))

		start = time.Now()
		ctx, cancel := context.WithTimeout(c.T.Context(), 200*time.Millisecond)
		defer cancel()
		_, err = n.Caller("work01").Call(ctx)
		clustertest.RequireError(c.T, err, broach.DeadlineExceeded, broach.No)
		require.Equal(c.T, 200*time.Millisecond, time.Since(start))

		require.NoError(c.T, c.Start(0).Register("work01", func() int { return 1 }))
		c.Until(10*time.Second, "the seed is found", func() bool { return clustertest.Count(n, broach.Alive) == 1 })
		_, err = n.Caller("work01").Call(c.T.Context())
		require.NoError(c.T, err)
	})
}

func TestACallMeetsAProviderThatStartsMeanwhile(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		provider := c.Start(0)
		require.NoError(c.T, provider.Register("work01", func() int { return 1 }))
		start := time.Now()
		_, err := c.Start(1, 0).Caller("work01").Call(c.T.Context())
		require.NoError(c.T, err)
		require.Less(c.T, time.Since(start), 200*time.Millisecond)
	})
}

func TestAnUnknownNameFailsAtOnceOnceJoined(t *testing.T) {
	clustertest.InPair(t, map[string]any{"known": func() {}}, func(
		c *clustertest.Cluster, provider, caller *broach.Node,
	) {
		c.Until(5*time.Second, "joined", func() bool { return clustertest.IsJoined(caller) })
		start := time.Now()
		_, err := caller.Caller("unknown").Call(c.T.Context())
		clustertest.RequireError(c.T, err, broach.NotFound, broach.No)
		require.ErrorIs(c.T, err, broach.ErrNotFound)
		require.Zero(c.T, time.Since(start))
	})
}

func TestACallFailsAtOnceWhenAllProvidersAreOffline(t *testing.T) {
	clustertest.InPair(t, map[string]any{"add": func(x, y int) int { return x + y }}, func(
		c *clustertest.Cluster, provider, caller *broach.Node,
	) {
		c.Kill(provider)
		c.Until(5*time.Second, "the provider is offline",
			func() bool { return clustertest.Count(caller, broach.Offline) == 1 })
		start := time.Now()
		_, err := caller.Caller("add").Call(c.T.Context(), 1, 2)
		clustertest.RequireError(c.T, err, broach.Unavailable, broach.No)
		require.Zero(c.T, time.Since(start))
	})
}

func TestACallInFlightToAProviderThatDies(t *testing.T) {
	clustertest.InPair(t, map[string]any{"hang": clustertest.Hang}, func(
		c *clustertest.Cluster, provider, caller *broach.Node,
	) {
		time.AfterFunc(100*time.Millisecond, func() { c.Net.Pause(provider.Addr()) })
		start := time.Now()
		_, err := caller.Caller("hang").Call(c.T.Context())
		e := clustertest.RequireError(c.T, err, broach.Unreachable, broach.Maybe)
		require.Equal(c.T, provider.Addr().String(), e.Node)
		require.Less(c.T, time.Since(start), 3*time.Second, "long before the deadline")
		c.Net.Resume(provider.Addr())
	})
}

// [CALL-6] A call that has ended because its caller was found offline is answered Unreachable, not Canceled: the caller
// may be back, and has given nothing up.
func TestACallInFlightFromACallerThatStopsForAWhile(t *testing.T) {
	var ran atomic.Int32
	untilEnded := func(ctx context.Context) error {
		ran.Add(1)
		<-ctx.Done()
		return ctx.Err()
	}
	clustertest.InPair(t, map[string]any{"wait": untilEnded}, func(
		c *clustertest.Cluster, provider, caller *broach.Node,
	) {
		for _, executed := range []broach.Executed{broach.Yes, broach.No} {
			ran.Store(0)
			holding, release := context.WithCancel(c.T.Context())
			if executed == broach.No { // it waits for the only worker
				go func() { _, _ = provider.Caller("wait").Call(holding) }()
			}
			time.AfterFunc(time.Second, func() { c.Net.Pause(caller.Addr()) })
			time.AfterFunc(3*time.Second, release)
			time.AfterFunc(3500*time.Millisecond, func() { c.Net.Resume(caller.Addr()) })
			_, err := caller.Caller("wait", broach.NoRetry()).Call(c.T.Context())
			clustertest.RequireError(c.T, err, broach.Unreachable, executed)
			require.Equal(c.T, int32(1), ran.Load())
			require.NotErrorIs(c.T, err, context.Canceled)
			for _, b := range caller.Stats().Peers[0].Breakers {
				require.Zero(c.T, b.Failures, "of a healthy provider")
			}
			time.Sleep(time.Minute)
		}
	}, func(cfg *broach.Config) { cfg.Pool = broach.Pool{Core: 1, Max: 1} })
}

// What a function says itself stands, though its caller was found offline: its results, and errors of its own.
func TestWhatWasSaidWhileTheCallerStoppedForAWhile(t *testing.T) {
	ended := map[string]func(context.Context) (int, error){
		"result": func(context.Context) (int, error) { return 1, nil },
		"error":  func(context.Context) (int, error) { return 0, errors.New("no luck") },
		"code":   func(context.Context) (int, error) { return 0, broach.Errorf(1000, "no luck") },
	}
	for name, end := range ended {
		t.Run(name, func(t *testing.T) {
			clustertest.InPair(t, map[string]any{"wait": func(ctx context.Context) (int, error) {
				<-ctx.Done()
				return end(ctx)
			}}, func(c *clustertest.Cluster, provider, caller *broach.Node) {
				time.AfterFunc(time.Second, func() { c.Net.Pause(caller.Addr()) })
				time.AfterFunc(3500*time.Millisecond, func() { c.Net.Resume(caller.Addr()) })
				n, err := broach.Call[int](c.T.Context(), caller.Caller("wait", broach.NoRetry()))
				switch name {
				case "result":
					require.Equal(c.T, []any{1, nil}, []any{n, err})
				case "error":
					clustertest.RequireError(c.T, err, broach.Application, broach.Yes)
				case "code":
					clustertest.RequireError(c.T, err, 1000, broach.Yes)
				}
			})
		})
	}
}

func TestMessagesThatAreTooLarge(t *testing.T) {
	var ran atomic.Int32
	functions := map[string]any{
		"take": func(b []byte) { ran.Add(1) },
		"give": func(n int) []byte { return make([]byte, n) },
	}
	clustertest.InPair(t, functions, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		for _, n := range []*broach.Node{provider, caller} {
			ran.Store(0)
			_, err := n.Caller("take").Call(c.T.Context(), make([]byte, 4096-3))
			clustertest.RequireError(c.T, err, broach.TooLarge, broach.No)
			require.Zero(c.T, ran.Load())
			// with a head of 4 bytes, just what is allowed
			_, err = n.Caller("take").Call(c.T.Context(), make([]byte, 4096-4))
			require.NoError(c.T, err)
			require.EqualValues(c.T, 1, ran.Load())
			_, err = n.Caller("give").Call(c.T.Context(), 4096)
			clustertest.RequireError(c.T, err, broach.TooLarge, broach.Yes)
			_, err = n.Caller("give").Call(c.T.Context(), 4096-5)
			require.NoError(c.T, err)
		}
	}, func(cfg *broach.Config) { cfg.MaxMessage = 4096 })
}

// The calls of many goroutines on one Caller do not get in each other's way.
func TestManyGoroutinesShareACaller(t *testing.T) {
	clustertest.InPair(t, map[string]any{"add": func(x, y int) int { return x + y }}, func(
		c *clustertest.Cluster, provider, caller *broach.Node,
	) {
		add := caller.Caller("add")
		var calls sync.WaitGroup
		for i := range 64 {
			calls.Go(func() {
				for j := range 20 {
					sum, err := broach.Call[int](c.T.Context(), add, i, j)
					require.NoError(c.T, err)
					require.Equal(c.T, i+j, sum)
				}
			})
		}
		calls.Wait()
	})
}

// A provider that has just taken the function back answers that it does not have it; another one is asked.
func TestAStaleRouteIsAnsweredByAnotherProvider(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.StartAll(3)
		for i, n := range c.Nodes[:2] {
			require.NoError(c.T, n.Register("which", func() int { return i }))
		}
		caller := c.Nodes[2]
		require.NoError(c.T, caller.WaitFor(c.T.Context(), "which", 2))
		require.NoError(c.T, c.Nodes[0].Unregister("which"))
		for range 20 {
			go func() {
				i, err := broach.Call[int](c.T.Context(), caller.Caller("which"))
				require.NoError(c.T, err)
				require.Equal(c.T, 1, i)
			}()
		}
		require.Len(c.T, caller.Services()[0].Providers, 2, "nobody has told the caller yet")
		time.Sleep(time.Second)
		require.Len(c.T, caller.Services()[0].Providers, 1)
		require.NoError(c.T, c.Nodes[1].Unregister("which"))
		_, err := caller.Caller("which").Call(c.T.Context())
		clustertest.RequireError(c.T, err, broach.NotFound, broach.No)
	})
}

// [VAL-3] A description that is malformed, or has an unknown code, makes the reply undecodable: Internal, executed yes.
func TestAnUndecodableResultIsInternal(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		provider, says := c.StartForger(0)
		caller := c.Start(1, 0)
		clustertest.Offer(c, provider, caller, "odd", func() string { return "odd" })
		says.Say([]byte("\x01\x63\xa3odd"), []byte("\x01\x0f\xa3odd")) // one result, a string; there is no code 99
		_, err := caller.Caller("odd").Call(c.T.Context())
		e := clustertest.RequireError(c.T, err, broach.Internal, broach.Yes)
		require.Equal(c.T, "odd", e.Service)
		require.NotContains(c.T, e.Message, "broach:", "the text of the codec's error, not the whole of it")
		_, err = broach.Bind[func() (string, error)](caller, "odd")()
		clustertest.RequireError(c.T, err, broach.Internal, broach.Yes)
	})
}

// Names that begin with "__" can be called in their own process only. [TAB-4] a Request for one is answered NotFound.
func TestPrivateFunctions(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		provider := c.Start(0)
		caller, says := c.StartForger(1, 0)
		clustertest.Offer(c, provider, caller, "publicone", func() {})
		require.NoError(c.T, provider.Register("__private", func() int { return 1 }))
		v, err := provider.Caller("__private").Call(c.T.Context())
		require.NoError(c.T, err)
		require.Equal(c.T, 1, v)

		time.Sleep(2 * time.Second)
		_, err = caller.Caller("__private").Call(c.T.Context())
		clustertest.RequireError(c.T, err, broach.NotFound, broach.No)
		for _, n := range c.Nodes {
			require.Len(c.T, n.Services(), 1)
		}
		says.Say([]byte("__private"), []byte("publicone"))
		_, err = caller.Caller("publicone", broach.NoRetry()).Call(c.T.Context())
		e := clustertest.RequireError(c.T, err, broach.NotFound, broach.No)
		require.Equal(c.T, provider.Addr().String(), e.Node, "it was asked")
	})
}
