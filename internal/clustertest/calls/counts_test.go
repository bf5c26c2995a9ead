package calls

import (
	"context"
	"fmt"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// called and served are what a node has counted of a function.
func called(t *testing.T, n *broach.Node, name string) string {
	t.Helper()
	return clustertest.Counts(t, n.Stats().Called, name)
}

func served(t *testing.T, n *broach.Node, name string) string {
	t.Helper()
	return clustertest.Counts(t, n.Stats().Served, name)
}

// Each form of a call counts once where it is made, and once for each provider that serves it.
func TestEveryFormOfCallIsCounted(t *testing.T) {
	ctx := context.Background()
	forms := map[string]func(t *testing.T, n *broach.Node, opts ...broach.CallOption) error{
		"Call": func(t *testing.T, n *broach.Node, opts ...broach.CallOption) error {
			_, err := n.Caller("f", opts...).Call(ctx, 7)
			return err
		},
		"typed Call": func(t *testing.T, n *broach.Node, opts ...broach.CallOption) error {
			_, err := broach.Call[struct{}](ctx, n.Caller("f", opts...), 7)
			return err
		},
		"Call2": func(t *testing.T, n *broach.Node, opts ...broach.CallOption) error {
			_, _, err := broach.Call2[int, int](ctx, n.Caller("f", opts...), 7)
			return err
		},
		"Bind": func(t *testing.T, n *broach.Node, opts ...broach.CallOption) error {
			_, _, err := broach.Bind[func(int) (int, int, error)](n, "f", opts...)(7)
			return err
		},
		"With": func(t *testing.T, n *broach.Node, opts ...broach.CallOption) error {
			_, err := n.Caller("f").With(opts...).Call(ctx, 7)
			return err
		},
		"Send": func(t *testing.T, n *broach.Node, opts ...broach.CallOption) error {
			return n.Caller("f", opts...).Send(ctx, 7)
		},
		"Go": func(t *testing.T, n *broach.Node, opts ...broach.CallOption) error {
			_, err := broach.Go[any](ctx, n.Caller("f", opts...), 7).Wait()
			return err
		},
		"All": func(t *testing.T, n *broach.Node, opts ...broach.CallOption) (err error) {
			for r := range n.Caller("f", opts...).All(ctx, 7) {
				err = r.Err
			}
			return err
		},
		"WaitReady": func(t *testing.T, n *broach.Node, opts ...broach.CallOption) error {
			_, err := n.Caller("f", append(opts, broach.WaitReady())...).Call(ctx, 7)
			return err
		},
		"Hedge": func(t *testing.T, n *broach.Node, opts ...broach.CallOption) error {
			_, err := n.Caller("f", append(opts, broach.Hedge(time.Second))...).Call(ctx, 7)
			return err
		},
	}
	around := map[string][]broach.CallOption{"plain": nil, "intercepted": {broach.CallInterceptors(pass)}}
	for form, call := range forms {
		for how, opts := range around {
			t.Run(form+" "+how, func(t *testing.T) {
				clustertest.Run(t, 1, func(c *clustertest.Cluster) {
					provider, caller := c.Start(0), c.Start(1, 0)
					twice := func(i int) (int, int) { return i, i }
					clustertest.Offer(c, provider, caller, "f", twice, broach.Idempotent())
					for calls, n := range []*broach.Node{caller, provider} { // from elsewhere, and from here
						err := call(t, n, opts...)
						if form == "typed Call" {
							clustertest.RequireError(t, err, broach.InvalidArgument, broach.Yes)
							require.Equal(t, "1: 1 InvalidArgument", called(t, n, "f"), "what Call returned")
						} else {
							require.NoError(t, err)
							require.Equal(t, "1: ", called(t, n, "f")+": ", form)
						}
						time.Sleep(time.Millisecond) // until what Send sent has run
						require.Equal(t, []string{"1", "2"}[calls], served(t, provider, "f"))
					}
					require.Empty(t, clustertest.CountsOf(caller.Stats().Served, "f"))
					require.Len(t, provider.Stats().Served, 1, "nothing of the nodes' own is counted")
				})
			})
		}
	}
}

// "from Call to answer", "from arrival to answer, so waiting counts", and in the queue.
func TestLatenciesAreThoseOfTheirEnds(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.Edit = func(cfg *broach.Config) { cfg.Pool = broach.Pool{Core: 1, Max: 1} }
		provider, caller := c.Start(0), c.Start(1, 0)
		clustertest.Offer(c, provider, caller, "f", func() { time.Sleep(30 * time.Millisecond) })
		c.Net.SetDefault(linkOf(5 * time.Millisecond))
		c.Settle(time.Second)
		first := broach.Go[struct{}](c.T.Context(), caller.Caller("f"))
		second := broach.Go[struct{}](c.T.Context(), caller.Caller("f"))
		time.Sleep(20 * time.Millisecond) // one runs, one waits
		require.Equal(t, "0: 2 running", called(t, caller, "f"))
		require.Equal(t, "0: 1 running", served(t, provider, "f"))
		for _, f := range []*broach.Future[struct{}]{first, second} {
			_, err := f.Wait()
			require.NoError(t, err)
		}
		at := clustertest.CountsOf(provider.Stats().Served, "f")
		require.Equal(t, map[string]uint64{"50ms": 1, "75ms": 1}, clustertest.Classes(at.Latency))
		require.Equal(t, 90*time.Millisecond, at.Latency.Sum.Round(time.Millisecond), "30 ms, and after another 30 ms")
		require.Equal(t, map[string]uint64{"50µs": 1, "50ms": 1}, clustertest.Classes(at.Waiting))
		require.Equal(t, 30*time.Millisecond, at.Waiting.Sum.Round(time.Millisecond))
		from := clustertest.CountsOf(caller.Stats().Called, "f")
		require.Equal(t, 110*time.Millisecond, from.Latency.Sum.Round(time.Millisecond), "and there and back")
		require.Zero(t, from.Waiting)
		require.Zero(t, at.Running+from.Running)
	})
}

// The codes are those that the caller was told, and those that the provider answered.
func TestErrorsAreCountedByTheirCodes(t *testing.T) {
	functions := map[string]any{
		"fails":    func() error { return broach.Errorf(broach.Unauthenticated, "no") },
		"own code": func() error { return broach.Errorf(4711, "no") },
		"plain":    func() error { return context.Canceled },
		"panics":   func() { panic("no luck") },
		"exits":    exit,
		"hangs":    clustertest.Hang,
		"takes":    func(int) {},
	}
	clustertest.InPair(t, functions, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		for i, n := range []*broach.Node{caller, provider} {
			for name := range functions {
				ctx, cancel := context.WithTimeout(c.T.Context(), 100*time.Millisecond)
				_, err := n.Caller(name).Call(ctx)
				require.Error(t, err, name)
				cancel()
			}
			c.Settle(time.Second)
			for name, code := range map[string]string{
				"fails": "Unauthenticated", "own code": "Code(4711)", "plain": "Application", "panics": "Internal",
				"exits": "Internal", "takes": "InvalidArgument",
			} {
				require.Equal(t, "1: 1 "+code, called(t, n, name), name)
				require.Equal(t, fmt.Sprint(i+1, ": ", i+1, " ", code), served(t, provider, name), name)
			}
			require.Equal(t, "1: 1 DeadlineExceeded", called(t, n, "hangs"))
		}
	})
}

// "a call given up by its ctx counts at the caller": with the code of what ended it, and at the provider as it ended
// there.
func TestCallsThatAreGivenUpAreCounted(t *testing.T) {
	functions := map[string]any{"hangs": clustertest.Hang, "goes on": func() { time.Sleep(time.Second) }}
	clustertest.InPair(t, functions, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		for name := range functions {
			ctx, cancel := context.WithCancel(c.T.Context())
			f := broach.Go[struct{}](ctx, caller.Caller(name))
			time.Sleep(10 * time.Millisecond)
			require.Equal(t, "0: 1 running", served(t, provider, name))
			cancel()
			_, err := f.Wait()
			clustertest.RequireError(t, err, broach.Canceled, broach.Maybe)
			require.Equal(t, "1: 1 Canceled", called(t, caller, name))
			_, err = caller.Caller(name).Call(ctx)
			clustertest.RequireError(t, err, broach.Canceled, broach.No)
			require.Equal(t, "2: 2 Canceled", called(t, caller, name), "nor does one begin")
		}
		time.Sleep(2 * time.Second)
		require.Equal(t, "1: 1 Canceled", served(t, provider, "hangs"))
		require.Equal(t, "1", served(t, provider, "goes on"), "it went on to its end")
	})
}

// Code of the user's that ends the goroutine of a call ends the call.
func TestACallWhoseGoroutineIsEndedIsCounted(t *testing.T) {
	functions := map[string]any{"f": func(exiting) {}}
	clustertest.InPair(t, functions, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		for _, n := range []*broach.Node{caller, provider} {
			for i, f := range []*broach.Caller{n.Caller("f"), n.Caller("f", broach.CallInterceptors(pass))} {
				_, err := broach.Go[struct{}](c.T.Context(), f, exiting{}).Wait()
				clustertest.RequireError(t, err, broach.Internal, broach.Maybe)
				require.Equal(t, []string{"1: 1 Internal", "2: 2 Internal"}[i], called(t, n, "f"))
			}
		}
		require.Equal(t, "0", served(t, provider, "f"))
	})
}
