package calls

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// onlyAt calls the i-th node and no other.
func onlyAt(i int) broach.CallOption { return broach.On(clustertest.AddrOf(i)) }

func TestOnCallsOneNode(t *testing.T) {
	inTrio(t, func(c *clustertest.Cluster, caller *broach.Node) {
		which := caller.Caller("which")
		require.Equal(t, map[int]int{2: 50}, whoAnswers(t, which.With(onlyAt(2)), 50))
		_, err := which.With(onlyAt(0)).Call(context.Background())
		clustertest.RequireError(t, err, broach.Unavailable, broach.No)
		_, err = which.With(onlyAt(9)).Call(context.Background())
		clustertest.RequireError(t, err, broach.Unavailable, broach.No)
		require.NoError(t, caller.Register("which", func() int { return 0 }))
		require.Equal(t, map[int]int{0: 50}, whoAnswers(t, which.With(onlyAt(0)), 50))
		require.Equal(t, map[int]int{1: 50}, whoAnswers(t, which.With(onlyAt(1)), 50))
		c.Kill(c.Nodes[2])
		_, err = which.With(onlyAt(2)).Call(context.Background())
		clustertest.RequireError(t, err, broach.Unreachable, broach.Maybe)
	})
}

func TestLocalModes(t *testing.T) {
	inTrio(t, func(c *clustertest.Cluster, caller *broach.Node) {
		which := caller.Caller("which")
		_, err := which.With(broach.Local(broach.LocalOnly)).Call(context.Background())
		clustertest.RequireError(t, err, broach.Unavailable, broach.No)
		require.Len(t, whoAnswers(t, which.With(broach.Local(broach.LocalEqual)), 100), 2)
		require.NoError(t, caller.Register("which", func() int { return 0 }))
		require.Equal(t, map[int]int{0: 50}, whoAnswers(t, which, 50))
		require.Equal(t, map[int]int{0: 50}, whoAnswers(t, which.With(broach.Local(broach.LocalOnly)), 50))
		never := whoAnswers(t, which.With(broach.Local(broach.LocalNever)), 3000)
		require.InDelta(t, 1500, never[1], 150)
		require.Zero(t, never[0])
		for _, b := range []broach.Balancer{broach.LeastLoaded(), broach.Random(), broach.RoundRobin()} {
			equal := which.With(broach.Local(broach.LocalEqual), broach.Balance(b))
			for i, k := range whoAnswers(t, equal, 3000) {
				require.InDelta(t, 1000, k, 150, "node %d, %T", i, b)
			}
		}
		for _, n := range c.Nodes[1:] {
			require.NoError(t, n.Unregister("which"))
		}
		c.Settle(time.Second)
		require.Equal(t, map[int]int{0: 50}, whoAnswers(t, which.With(broach.Local(broach.LocalEqual)), 50))
	})
}

// A call that counts its own node among the providers leaves the route of all other calls as it was.
func TestChoosingLeavesTheRouteAlone(t *testing.T) {
	inTrio(t, func(c *clustertest.Cluster, caller *broach.Node) {
		gone := c.Start(3, 0)
		require.NoError(t, gone.Register("which", func() int { return 3 }))
		require.NoError(t, caller.WaitFor(context.Background(), "which", 3))
		require.NoError(t, gone.Unregister("which")) // and leaves room in the route
		require.NoError(t, caller.Register("which", func() int { return 0 }))
		time.Sleep(time.Second)
		ask := func(local broach.LocalMode) (seen []broach.Provider) {
			look := clustertest.PickFunc(func(_ broach.CallInfo, from []broach.Provider) int {
				seen = slices.Clone(from)
				return len(from) - 1
			})
			which := caller.Caller("which", broach.Local(local), broach.Balance(look))
			i, err := broach.Call[int](context.Background(), which)
			require.NoError(t, err)
			require.Equal(t, 2, i)
			return seen
		}
		ask(broach.LocalNever) // from now on it is known how long they take
		before := ask(broach.LocalNever)
		require.Len(t, before, 2)
		from := ask(broach.LocalEqual)
		require.Len(t, from, 3)
		require.True(t, from[0].Self, "it has the lowest address")
		after := ask(broach.LocalNever)
		for i := range after {
			require.Equal(t, before[i].Addr, after[i].Addr)
			require.False(t, after[i].Self)
		}
		require.Len(t, whoAnswers(t, caller.Caller("which", broach.Local(broach.LocalNever)), 100), 2)
	})
}

func TestTimeout(t *testing.T) {
	functions := map[string]any{"slow": func() { time.Sleep(3 * time.Second) }}
	clustertest.InPair(t, functions, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		slow := caller.Caller("slow", broach.Timeout(time.Second))
		start := time.Now()
		_, err := slow.Call(context.Background())
		clustertest.RequireError(t, err, broach.DeadlineExceeded, broach.Maybe)
		require.InDelta(t, time.Second, time.Since(start), float64(50*time.Millisecond))
		_, err = slow.With(broach.Timeout(4 * time.Second)).Call(context.Background())
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		defer cancel()
		start = time.Now()
		_, err = slow.Call(ctx)
		clustertest.RequireError(t, err, broach.DeadlineExceeded, broach.Maybe)
		require.Less(t, time.Since(start), 600*time.Millisecond, "the sooner of the two")
		time.Sleep(3 * time.Second) // until the function has ended
	})
}

func TestKeysStick(t *testing.T) {
	inTrio(t, func(c *clustertest.Cluster, caller *broach.Node) {
		which, counts := caller.Caller("which"), map[int]int{}
		for _, key := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
			got := whoAnswers(t, which.With(broach.Key(key)), 20)
			require.Len(t, got, 1)
			for i := range got {
				counts[i]++
			}
			another := c.Nodes[1].Caller("which", broach.Key(key), broach.Local(broach.LocalEqual))
			require.Equal(t, got, whoAnswers(t, another, 20), "the same for every caller")
		}
		require.Len(t, counts, 2)
	})
}

// What a Balancer of the user's own does wrong fails the call, and nothing else.
func TestOwnBalancers(t *testing.T) {
	inTrio(t, func(c *clustertest.Cluster, caller *broach.Node) {
		which := caller.Caller("which")
		own := clustertest.PickFunc(func(call broach.CallInfo, from []broach.Provider) int {
			require.Equal(t, "which", call.Service)
			require.Equal(t, "k", call.Key)
			require.Len(t, from, 2)
			require.Equal(t, clustertest.AddrOf(1), from[0].Addr)
			require.Equal(t, 100, from[0].Weight)
			return 1
		})
		keyed := which.With(broach.Key("k"), broach.Balance(own))
		require.Equal(t, map[int]int{2: 50}, whoAnswers(t, keyed, 50))
		for _, wrong := range []clustertest.PickFunc{
			func(broach.CallInfo, []broach.Provider) int { panic("no idea") },
			func(broach.CallInfo, []broach.Provider) int { return -1 },
			func(_ broach.CallInfo, from []broach.Provider) int { return len(from) },
		} {
			_, err := which.With(broach.Balance(wrong)).Call(context.Background())
			clustertest.RequireError(t, err, broach.Internal, broach.No)
		}
		require.Len(t, whoAnswers(t, which, 100), 2)
	})
}

func TestOptionsThatCannotBe(t *testing.T) {
	inTrio(t, func(c *clustertest.Cluster, caller *broach.Node) {
		for name, o := range map[string][]broach.CallOption{
			"timeout": {broach.Timeout(0)}, "retries": {broach.Retries(-1)}, "balancer": {broach.Balance(nil)},
			"on": {broach.On(netip.AddrPort{})}, "mode": {broach.Local(broach.LocalOnly + 1)},
			"both": {onlyAt(1), broach.Local(broach.LocalNever)}, "none": {nil},
		} {
			_, err := caller.Caller("which", o...).Call(context.Background())
			clustertest.RequireError(t, err, broach.InvalidArgument, broach.No)
			_, err = broach.Bind[func() (int, error)](caller, "which", o...)()
			require.ErrorIs(t, err, broach.ErrInvalidArgument, name)
		}
		for name, o := range map[string]broach.RegisterOption{
			"weight": broach.Weight(0), "much": broach.Weight(1001), "most": broach.MaxConcurrent(0),
			"doc": broach.Doc("\xff"), "none": nil,
		} {
			require.ErrorIs(t, caller.Register("f", func() {}, o), broach.ErrInvalidArgument, name)
		}
		_, err := caller.Subscribe("sold", func() {}, nil)
		require.ErrorIs(t, err, broach.ErrInvalidArgument)
		_, err = caller.Every(time.Second, func() {}, nil)
		require.ErrorIs(t, err, broach.ErrInvalidArgument)
		require.NoError(t, caller.Register("f", func() {}))
	})
}

// [CALL-20] A call of an idempotent function that may have run, because its provider died, is made again at another; of
// any other function it fails.
func TestIdempotentCallsAreMadeAgain(t *testing.T) {
	for _, idempotent := range []bool{true, false} {
		clustertest.Run(t, 1, func(c *clustertest.Cluster) {
			caller := c.Start(0)
			var options []broach.RegisterOption
			if idempotent {
				options = append(options, broach.Idempotent())
			}
			for i := 1; i <= 2; i++ {
				require.NoError(t, c.Start(i, 0).Register("slow", func() { time.Sleep(2 * time.Second) }, options...))
			}
			require.NoError(t, caller.WaitFor(context.Background(), "slow", 2))
			var failed atomic.Int64
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() {
					if _, err := caller.Caller("slow").Call(context.Background()); err != nil {
						clustertest.RequireError(t, err, broach.Unreachable, broach.Maybe)
						failed.Add(1)
					}
				})
			}
			time.Sleep(time.Second)
			c.Kill(c.Nodes[2])
			all.Wait()
			if idempotent {
				require.Zero(t, failed.Load())
			} else {
				require.InDelta(t, 10, failed.Load(), 5)
			}
		})
	}
}

// What a provider has no room for goes to another, unless NoRetry says so.
func TestOverloadedCallsGoElsewhere(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		caller := c.Start(0)
		for i := 1; i <= 2; i++ {
			f := func() { time.Sleep(time.Second) }
			require.NoError(t, c.Start(i, 0).Register("one", f, broach.MaxConcurrent(1)))
		}
		require.NoError(t, caller.WaitFor(context.Background(), "one", 2))
		one := caller.Caller("one")
		busy := make(chan error, 1)
		go func() { _, err := one.With(onlyAt(1)).Call(context.Background()); busy <- err }()
		time.Sleep(100 * time.Millisecond)
		toTheBusy := clustertest.PickFunc(func(_ broach.CallInfo, from []broach.Provider) int { return 0 })
		_, err := one.With(broach.Balance(toTheBusy), broach.NoRetry()).Call(context.Background())
		clustertest.RequireError(t, err, broach.Overloaded, broach.No)
		_, err = one.With(broach.Balance(toTheBusy)).Call(context.Background())
		require.NoError(t, err)
		require.NoError(t, <-busy)
	})
}

// What Register is told of a function is known everywhere.
func TestServicesShowTheirDocs(t *testing.T) {
	clustertest.InPair(t, nil, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		var ran atomic.Int64
		another := c.Start(2, 0)
		for _, n := range []*broach.Node{provider, another} {
			f := func(ctx context.Context) { ran.Add(1); _ = clustertest.Hang(ctx) }
			require.NoError(t, n.Register("f", f, broach.Doc("does nothing"), broach.Weight(7), broach.Idempotent()))
		}
		require.NoError(t, caller.WaitFor(context.Background(), "f", 2))
		c.Settle(time.Second)
		time.Sleep(time.Second)
		for _, n := range c.Nodes {
			require.Equal(t, "does nothing", n.Services()[len(n.Services())-1].Doc)
		}
		weigh := clustertest.PickFunc(func(_ broach.CallInfo, from []broach.Provider) int {
			for _, p := range from {
				require.Equal(t, 7, p.Weight)
			}
			return 0
		})
		hedged := caller.Caller("f", broach.Hedge(100*time.Millisecond), broach.Timeout(time.Second))
		_, err := hedged.With(broach.Balance(weigh)).Call(context.Background())
		clustertest.RequireError(t, err, broach.DeadlineExceeded, broach.Maybe)
		require.EqualValues(t, 2, ran.Load(), "a Hedge asks another only if the function is Idempotent")
	})
}
