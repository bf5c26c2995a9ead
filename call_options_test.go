package broach

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broach/internal/balance"

	"github.com/stretchr/testify/require"
)

// inTrio runs a test on a caller, node 0, and two providers of "which", which says their number.
func inTrio(t *testing.T, test func(c *cluster, caller *Node)) {
	inCluster(t, 1, func(c *cluster) {
		caller := c.start(0)
		startProvider(c, 1)
		startProvider(c, 2)
		require.NoError(t, caller.WaitFor(context.Background(), "which", 2))
		c.settle(time.Second)
		test(c, caller)
	})
}

// whoAnswers counts who answers calls made one after the other.
func whoAnswers(t *testing.T, c *Caller, calls int) map[int]int {
	got := map[int]int{}
	for range calls {
		i, err := Call[int](context.Background(), c)
		require.NoError(t, err)
		got[i]++
	}
	return got
}

func TestOnCallsOneNode(t *testing.T) {
	inTrio(t, func(c *cluster, caller *Node) {
		which := caller.Caller("which")
		require.Equal(t, map[int]int{2: 50}, whoAnswers(t, which.With(On(addrOf(2))), 50))
		_, err := which.With(On(addrOf(0))).Call(context.Background())
		requireError(t, err, Unavailable, No)
		_, err = which.With(On(addrOf(9))).Call(context.Background())
		requireError(t, err, Unavailable, No)
		require.NoError(t, caller.Register("which", func() int { return 0 }))
		require.Equal(t, map[int]int{0: 50}, whoAnswers(t, which.With(On(addrOf(0))), 50))
		require.Equal(t, map[int]int{1: 50}, whoAnswers(t, which.With(On(addrOf(1))), 50))
		c.kill(c.nodes[2])
		_, err = which.With(On(addrOf(2))).Call(context.Background())
		requireError(t, err, Unreachable, Maybe)
	})
}

func TestLocalModes(t *testing.T) {
	inTrio(t, func(c *cluster, caller *Node) {
		which := caller.Caller("which")
		_, err := which.With(Local(LocalOnly)).Call(context.Background())
		requireError(t, err, Unavailable, No)
		require.Len(t, whoAnswers(t, which.With(Local(LocalEqual)), 100), 2)
		require.NoError(t, caller.Register("which", func() int { return 0 }))
		require.Equal(t, map[int]int{0: 50}, whoAnswers(t, which, 50))
		require.Equal(t, map[int]int{0: 50}, whoAnswers(t, which.With(Local(LocalOnly)), 50))
		never := whoAnswers(t, which.With(Local(LocalNever)), 3000)
		require.InDelta(t, 1500, never[1], 150)
		require.Zero(t, never[0])
		for _, b := range []Balancer{LeastLoaded(), Random(), RoundRobin()} {
			for i, k := range whoAnswers(t, which.With(Local(LocalEqual), Balance(b)), 3000) {
				require.InDelta(t, 1000, k, 150, "node %d, %T", i, b)
			}
		}
		for _, n := range c.nodes[1:] {
			require.NoError(t, n.Unregister("which"))
		}
		c.settle(time.Second)
		require.Equal(t, map[int]int{0: 50}, whoAnswers(t, which.With(Local(LocalEqual)), 50))
	})
}

// A call that counts its own node among the providers leaves the route of all other calls as it was.
func TestChoosingLeavesTheRouteAlone(t *testing.T) {
	inTrio(t, func(c *cluster, caller *Node) {
		require.NoError(t, caller.Register("which", func() int { return 0 }))
		r := &route{alive: make([]balance.Candidate, 0, 8)}
		r.alive = append(r.alive, caller.calling.view.Load().routes.get("which").candidates()...)
		who := func() (all []*balance.Record) {
			for _, d := range r.candidates() {
				all = append(all, d.Record)
			}
			return all
		}
		before := who()
		from := caller.Caller("which", Local(LocalEqual)).eligible(r, &balance.Chooser{Service: "which", Now: time.Now()})
		require.Len(t, from, 3)
		require.Same(t, caller.calling.self, from[0].Record, "it has the lowest address")
		require.Equal(t, before, who())
		require.Nil(t, r.alive[:3][2].Record)
	})
}

func TestTimeout(t *testing.T) {
	inPair(t, map[string]any{"slow": func() { time.Sleep(3 * time.Second) }}, func(c *cluster, provider, caller *Node) {
		slow := caller.Caller("slow", Timeout(time.Second))
		start := time.Now()
		_, err := slow.Call(context.Background())
		requireError(t, err, DeadlineExceeded, Maybe)
		require.InDelta(t, time.Second, time.Since(start), float64(50*time.Millisecond))
		_, err = slow.With(Timeout(4 * time.Second)).Call(context.Background())
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		defer cancel()
		start = time.Now()
		_, err = slow.Call(ctx)
		requireError(t, err, DeadlineExceeded, Maybe)
		require.Less(t, time.Since(start), 600*time.Millisecond, "the sooner of the two")
		time.Sleep(3 * time.Second) // until the function has ended
	})
}

func TestKeysStick(t *testing.T) {
	inTrio(t, func(c *cluster, caller *Node) {
		which, counts := caller.Caller("which"), map[int]int{}
		for _, key := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
			got := whoAnswers(t, which.With(Key(key)), 20)
			require.Len(t, got, 1)
			for i := range got {
				counts[i]++
			}
			require.Equal(t, got, whoAnswers(t, c.nodes[1].Caller("which", Key(key), Local(LocalEqual)), 20), "the same for every caller")
		}
		require.Len(t, counts, 2)
	})
}

// faulty is a Balancer that does something.
type faulty func(call CallInfo, from []Provider) int

func (f faulty) Pick(call CallInfo, from []Provider) int { return f(call, from) }

// What a Balancer of the user's own does wrong fails the call, and nothing else.
func TestOwnBalancers(t *testing.T) {
	inTrio(t, func(c *cluster, caller *Node) {
		which := caller.Caller("which")
		own := faulty(func(call CallInfo, from []Provider) int {
			require.Equal(t, "which", call.Service)
			require.Equal(t, "k", call.Key)
			require.Len(t, from, 2)
			require.Equal(t, addrOf(1), from[0].Addr)
			require.Equal(t, weightUnsaid, from[0].Weight)
			return 1
		})
		require.Equal(t, map[int]int{2: 50}, whoAnswers(t, which.With(Key("k"), Balance(own)), 50))
		for _, wrong := range []faulty{
			func(CallInfo, []Provider) int { panic("no idea") },
			func(CallInfo, []Provider) int { return -1 },
			func(_ CallInfo, from []Provider) int { return len(from) },
		} {
			_, err := which.With(Balance(wrong)).Call(context.Background())
			requireError(t, err, Internal, No)
		}
		require.Len(t, whoAnswers(t, which, 100), 2)
	})
}

func TestOptionsThatCannotBe(t *testing.T) {
	inTrio(t, func(c *cluster, caller *Node) {
		for name, o := range map[string][]CallOption{
			"timeout": {Timeout(0)}, "retries": {Retries(-1)}, "balancer": {Balance(nil)}, "on": {On(netip.AddrPort{})},
			"mode": {Local(LocalOnly + 1)}, "both": {On(addrOf(1)), Local(LocalNever)},
		} {
			_, err := caller.Caller("which", o...).Call(context.Background())
			requireError(t, err, InvalidArgument, No)
			_, err = Bind[func() (int, error)](caller, "which", o...)()
			require.ErrorIs(t, err, ErrInvalidArgument, name)
		}
		for name, o := range map[string]RegisterOption{"weight": Weight(0), "much": Weight(1001), "most": MaxConcurrent(0), "doc": Doc("\xff")} {
			require.ErrorIs(t, caller.Register("f", func() {}, o), ErrInvalidArgument, name)
		}
		require.NoError(t, caller.Register("f", func() {}))
	})
}

// A call of an idempotent function that may have run, because its provider died, is made again at another; of any other
// function it fails.
func TestIdempotentCallsAreMadeAgain(t *testing.T) {
	for _, idempotent := range []bool{true, false} {
		inCluster(t, 1, func(c *cluster) {
			caller := c.start(0)
			var options []RegisterOption
			if idempotent {
				options = append(options, Idempotent())
			}
			for i := 1; i <= 2; i++ {
				require.NoError(t, c.start(i, 0).Register("slow", func() { time.Sleep(2 * time.Second) }, options...))
			}
			require.NoError(t, caller.WaitFor(context.Background(), "slow", 2))
			var failed atomic.Int64
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() {
					if _, err := caller.Caller("slow").Call(context.Background()); err != nil {
						requireError(t, err, Unreachable, Maybe)
						failed.Add(1)
					}
				})
			}
			time.Sleep(time.Second)
			c.kill(c.nodes[2])
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
	inCluster(t, 1, func(c *cluster) {
		caller := c.start(0)
		for i := 1; i <= 2; i++ {
			require.NoError(t, c.start(i, 0).Register("one", func() { time.Sleep(time.Second) }, MaxConcurrent(1)))
		}
		require.NoError(t, caller.WaitFor(context.Background(), "one", 2))
		one := caller.Caller("one")
		busy := make(chan error, 1)
		go func() { _, err := one.With(On(addrOf(1))).Call(context.Background()); busy <- err }()
		time.Sleep(100 * time.Millisecond)
		toTheBusy := faulty(func(_ CallInfo, from []Provider) int { return 0 })
		_, err := one.With(Balance(toTheBusy), NoRetry()).Call(context.Background())
		requireError(t, err, Overloaded, No)
		_, err = one.With(Balance(toTheBusy)).Call(context.Background())
		require.NoError(t, err)
		require.NoError(t, <-busy)
	})
}

func TestServicesShowTheirDocs(t *testing.T) {
	inPair(t, nil, func(c *cluster, provider, caller *Node) {
		require.NoError(t, provider.Register("f", func() {}, Doc("does nothing"), Weight(7), Idempotent()))
		require.NoError(t, caller.WaitFor(context.Background(), "f", 1))
		for _, n := range c.nodes {
			require.Equal(t, "does nothing", n.Services()[len(n.Services())-1].Doc)
		}
		r := caller.calling.view.Load().routes.get("f")
		require.Equal(t, 7, r.alive[0].Weight)
		require.True(t, r.isIdempotent())
	})
}
