package calls

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// patient is a provider of "f" that can fall ill: then f panics.
type patient struct {
	ill     atomic.Bool
	reached atomic.Int64 // calls of f
}

func (p *patient) f() {
	p.reached.Add(1)
	if p.ill.Load() {
		panic("ill")
	}
}

// withPatient runs a test on a caller, node 0, a patient, node 1, and so many healthy providers of "f".
func withPatient(t *testing.T, healthy int, test func(c *clustertest.Cluster, caller *broach.Node, p *patient)) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		caller, p := c.Start(0), &patient{}
		require.NoError(t, c.Start(1, 0).Register("f", p.f))
		for i := range healthy {
			require.NoError(t, c.Start(i+2, 0).Register("f", func() {}))
		}
		require.NoError(t, caller.WaitFor(context.Background(), "f", healthy+1))
		c.Settle(time.Second)
		test(c, caller, p)
	})
}

// isOpenAt reports whether Stats shows the breaker of f at a node as open.
func isOpenAt(n *broach.Node, addr netip.AddrPort) bool {
	for _, p := range n.Stats().Peers {
		if p.Addr == addr {
			return len(p.Open) == 1 && p.Open[0] == "f"
		}
	}
	return false
}

// "A provider that fails every call is out after its breaker opens: at most 1 % of calls reach it while open."
func TestFailingProviderIsLeftOut(t *testing.T) {
	t.Parallel()
	for name, opt := range map[string]broach.CallOption{
		"least loaded": broach.Balance(broach.LeastLoaded()), "random": broach.Balance(broach.Random()),
		"round robin": broach.Balance(broach.RoundRobin()),
		"weighted":    broach.Balance(broach.Weighted()),
		"own": broach.Balance(clustertest.PickFunc(func(broach.CallInfo,
			[]broach.Provider) int {
			return 0
		})), "sticky": nil,
		"equal": broach.Local(broach.LocalEqual),
	} {
		t.Run(name, func(t *testing.T) {
			withPatient(t, 2, func(c *clustertest.Cluster, caller *broach.Node, p *patient) {
				k := 0
				call := func() error {
					k++
					f := caller.Caller("f", broach.Key(fmt.Sprint(k)))
					if opt != nil {
						f = caller.Caller("f", opt)
					}
					_, err := f.Call(context.Background())
					return err
				}
				p.ill.Store(true)
				c.Until(time.Second, "the breaker opens",
					func() bool { _ = call(); return isOpenAt(caller, clustertest.AddrOf(1)) })

				before, failed := p.reached.Load(), 0
				for range 4000 {
					if call() != nil {
						failed++
					}
					time.Sleep(3 * time.Millisecond)
				}
				reached := p.reached.Load() - before
				t.Logf("%d of 4,000 calls reached it, %d failed", reached, failed)
				require.LessOrEqual(t, reached, int64(40))
				require.GreaterOrEqual(t, reached, int64(2), "one tries every 5s")
				require.EqualValues(t, reached, failed)

				p.ill.Store(false)
				before = p.reached.Load()
				back := c.Until(5*time.Second+100*time.Millisecond, "a call reaches it", func() bool {
					require.NoError(t, call())
					return p.reached.Load() > before
				})
				t.Logf("called again %v after it was mended", back)
				c.Until(100*time.Millisecond, "it gets its share", func() bool {
					require.NoError(t, call())
					return p.reached.Load() > before+10
				})
				require.False(t, isOpenAt(caller, clustertest.AddrOf(1)))
			})
		})
	}
}

// "state visible in `Stats` and `Watch`": the events come in order, also to who begins to watch when a breaker is open.
func TestBreakersAreSeen(t *testing.T) {
	withPatient(t, 0, func(c *clustertest.Cluster, caller *broach.Node, p *patient) {
		seen := watchCircuits(caller)
		f := caller.Caller("f")
		p.ill.Store(true)
		for range 5 {
			_, err := f.Call(context.Background())
			clustertest.RequireError(t, err, broach.Internal, broach.Yes)
		}
		_, err := f.Call(context.Background())
		clustertest.RequireError(t, err, broach.CircuitOpen, broach.No)
		require.ErrorIs(t, err, broach.ErrCircuitOpen)
		time.Sleep(time.Millisecond)
		require.True(t, isOpenAt(caller, clustertest.AddrOf(1)))
		late := watchCircuits(caller)
		p.ill.Store(false)
		time.Sleep(5 * time.Second)
		require.True(t, isOpenAt(caller, clustertest.AddrOf(1)), "nobody has tried yet")
		_, err = f.Call(context.Background())
		require.NoError(t, err)
		time.Sleep(time.Millisecond)
		require.False(t, isOpenAt(caller, clustertest.AddrOf(1)))
		for _, events := range [][]broach.Event{seen(), late()} {
			require.Len(t, events, 2)
			for i, kind := range []broach.EventKind{broach.CircuitOpened, broach.CircuitClosed} {
				require.Equal(t, kind, events[i].Kind)
				require.Equal(t, "f", events[i].Service)
				require.Equal(t, clustertest.AddrOf(1), events[i].Member.Addr)
			}
		}
	})
}

// watchCircuits collects the events about breakers until it is asked for them.
func watchCircuits(n *broach.Node) func() []broach.Event {
	return watchKinds(n, broach.CircuitOpened, broach.CircuitClosed)
}

// watchKinds collects the events of some kinds until it is asked for them.
func watchKinds(n *broach.Node, kinds ...broach.EventKind) func() []broach.Event {
	ctx, cancel := context.WithCancel(context.Background())
	var events []broach.Event
	var watching sync.WaitGroup
	watching.Go(func() {
		for e := range n.Watch(ctx) {
			if slices.Contains(kinds, e.Kind) {
				events = append(events, e)
			}
		}
	})
	return func() []broach.Event { cancel(); watching.Wait(); return events }
}

// The operator reads of breakers in the log.
func TestBreakersAreLogged(t *testing.T) {
	var log clustertest.SharedLog
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		p := &patient{}
		p.ill.Store(true)
		require.NoError(t, c.Start(0).Register("f", p.f))
		c.Edit = func(cfg *broach.Config) {
			cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		}
		caller := c.Start(1, 0)
		require.NoError(t, caller.WaitFor(context.Background(), "f", 1))
		for range 5 {
			_, err := caller.Caller("f").Call(context.Background())
			clustertest.RequireError(t, err, broach.Internal, broach.Yes)
		}
		time.Sleep(5*time.Second + time.Second)
		p.ill.Store(false)
		_, err := caller.Caller("f").Call(context.Background())
		require.NoError(t, err)
		time.Sleep(time.Second)
		require.NoError(t, caller.Close()) // nobody writes any more
		about := "\" addr=" + clustertest.AddrOf(0).String() + " service=f"
		_, after, _ := strings.Cut(log.String(), `level=WARN msg="broach: circuit opened`+about)
		require.Contains(t, after, `level=INFO msg="broach: circuit closed`+about+"\n")
	})
}

// On and All tell of an open breaker, and of which node's.
func TestOpenBreakersOfNamedNodes(t *testing.T) {
	withPatient(t, 1, func(c *clustertest.Cluster, caller *broach.Node, p *patient) {
		p.ill.Store(true)
		on := caller.Caller("f", broach.On(clustertest.AddrOf(1)))
		for range 5 {
			_, err := on.Call(context.Background())
			clustertest.RequireError(t, err, broach.Internal, broach.Yes)
		}
		_, err := on.Call(context.Background())
		require.Equal(t, clustertest.AddrOf(1).String(),
			clustertest.RequireError(t, err, broach.CircuitOpen, broach.No).Node)
		require.ErrorContains(t, err, "failed there again and again")
		clustertest.RequireError(t, on.Send(context.Background()), broach.CircuitOpen, broach.No)
		_, err = caller.Caller("f", broach.On(clustertest.AddrOf(9))).Call(context.Background())
		clustertest.RequireError(t, err, broach.Unavailable, broach.No)
		codes := map[netip.AddrPort]error{}
		for r := range caller.Caller("f").All(context.Background()) {
			codes[r.Node] = r.Err
		}
		require.ErrorIs(t, codes[clustertest.AddrOf(1)], broach.ErrCircuitOpen)
		require.NoError(t, codes[clustertest.AddrOf(2)])
		require.EqualValues(t, 5, p.reached.Load())
	})
}

// A provider that is passed over is no try: NoRetry calls succeed beside an open breaker.
func TestPassingOverIsNoTry(t *testing.T) {
	withPatient(t, 1, func(c *clustertest.Cluster, caller *broach.Node, p *patient) {
		p.ill.Store(true)
		for range 5 {
			_, _ = caller.Caller("f", broach.On(clustertest.AddrOf(1))).Call(context.Background())
		}
		for range 100 {
			_, err := caller.Caller("f", broach.NoRetry()).Call(context.Background())
			require.NoError(t, err)
		}
	})
}

// A call that is let through to try and is given up makes room for the next.
func TestACanceledTryMakesRoom(t *testing.T) {
	withPatient(t, 0, func(c *clustertest.Cluster, caller *broach.Node, p *patient) {
		p.ill.Store(true)
		for range 5 {
			_, _ = caller.Caller("f").Call(context.Background())
		}
		time.Sleep(5*time.Second + time.Millisecond)
		p.ill.Store(false)
		c.Net.SetDefault(simnet.Link{Delay: 10 * time.Millisecond})
		for range 3 {
			ctx, cancel := context.WithCancel(context.Background())
			gaveUp := make(chan error)
			go func() { _, err := caller.Caller("f").Call(ctx); gaveUp <- err }()
			time.Sleep(time.Millisecond)
			cancel()
			clustertest.RequireError(t, <-gaveUp, broach.Canceled, broach.Maybe)
		}
		_, err := caller.Caller("f").Call(context.Background())
		require.NoError(t, err)
	})
}

// What a partition fails is the membership's affair: when it heals, calls go there at once, also those with short
// deadlines.
func TestPartitionsOpenNoBreaker(t *testing.T) {
	for _, timeout := range []time.Duration{time.Minute, 100 * time.Millisecond} {
		withPatient(t, 0, func(c *clustertest.Cluster, caller *broach.Node, p *patient) {
			var all sync.WaitGroup
			ctx, cancel := context.WithCancel(context.Background())
			for range 10 {
				all.Go(func() {
					for ctx.Err() == nil {
						_, _ = caller.Caller("f", broach.Timeout(timeout)).Call(ctx)
						time.Sleep(time.Millisecond)
					}
				})
			}
			time.Sleep(time.Second)
			c.Net.Cut([]netip.AddrPort{clustertest.AddrOf(0)}, []netip.AddrPort{clustertest.AddrOf(1)})
			time.Sleep(2 * time.Second)
			before := p.reached.Load()
			c.Net.Heal()
			took := c.Until(time.Second, "it is called again", func() bool { return p.reached.Load() > before })
			t.Logf("calls of %v: called again %v after the partition healed", timeout, took)
			cancel()
			all.Wait()
			require.False(t, isOpenAt(caller, clustertest.AddrOf(1)))
		})
	}
}

// A provider that was found offline begins anew: a breaker that was open before is no more.
func TestPartitionsCloseBreakers(t *testing.T) {
	withPatient(t, 0, func(c *clustertest.Cluster, caller *broach.Node, p *patient) {
		seen := watchCircuits(caller)
		p.ill.Store(true)
		for range 5 {
			_, _ = caller.Caller("f").Call(context.Background())
		}
		p.ill.Store(false)
		c.Net.Cut([]netip.AddrPort{clustertest.AddrOf(0)}, []netip.AddrPort{clustertest.AddrOf(1)})
		time.Sleep(2 * time.Second)
		c.Net.Heal()
		c.Settle(time.Second)
		_, err := caller.Caller("f").Call(context.Background())
		require.NoError(t, err)
		events := seen()
		require.Len(t, events, 2)
		require.Equal(t, broach.CircuitClosed, events[1].Kind)
	})
}

// "CircuitClosed: it is called there again, or the member is away": also where another process has taken its place. The
// log says so, too.
func TestWhoIsReplacedTakesItsBreakersAlong(t *testing.T) {
	for _, restarts := range []bool{false, true} {
		var log clustertest.SharedLog
		clustertest.Run(t, 1, func(c *clustertest.Cluster) {
			p := &patient{}
			p.ill.Store(true)
			old := c.Start(1)
			require.NoError(t, old.Register("f", p.f))
			c.Edit = func(cfg *broach.Config) {
				cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
			}
			caller := c.Start(0, 1)
			require.NoError(t, caller.WaitFor(context.Background(), "f", 1))
			seen := watchKinds(caller, broach.CircuitOpened, broach.CircuitClosed, broach.MemberOffline)
			for range 5 {
				_, _ = caller.Caller("f").Call(context.Background())
			}
			time.Sleep(time.Second)
			c.Kill(old)
			if restarts {
				c.Edit = func(cfg *broach.Config) { cfg.RandSeed = 99 }
				c.Start(1, 0)
			}
			time.Sleep(5 * time.Second)
			require.Equal(t, []broach.EventKind{broach.CircuitOpened, broach.MemberOffline, broach.CircuitClosed},
				eventKinds(seen()), "restarts: %v", restarts)
			require.NoError(t, caller.Close()) // nobody writes any more
			require.Equal(t, 1, strings.Count(log.String(), "broach: circuit closed"), "restarts: %v", restarts)
		})
	}
}

// eventKinds are the kinds of events.
func eventKinds(events []broach.Event) (kinds []broach.EventKind) {
	for _, e := range events {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

// Stats show a breaker as closed that nobody has tried for long.
func TestABreakerNobodyTriesIsClosedInTheEnd(t *testing.T) {
	withPatient(t, 0, func(c *clustertest.Cluster, caller *broach.Node, p *patient) {
		p.ill.Store(true)
		for range 5 {
			_, _ = caller.Caller("f").Call(context.Background())
		}
		c.Until(time.Second, "it is open", func() bool { return isOpenAt(caller, clustertest.AddrOf(1)) })
		time.Sleep(time.Minute / 2)
		require.True(t, isOpenAt(caller, clustertest.AddrOf(1)))
		c.Until(2*time.Minute, "it is forgiven", func() bool { return !isOpenAt(caller, clustertest.AddrOf(1)) })
	})
}
