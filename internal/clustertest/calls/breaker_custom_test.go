package calls

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// requireBreakers requires that those of a peer are these, each as "service open|closed broken|overloaded".
func requireBreakers(t *testing.T, p broach.PeerStats, want ...string) {
	t.Helper()
	var got []string
	for _, b := range p.Breakers {
		is, why := "closed", "broken"
		if b.Open {
			is = "open"
		}
		if b.Overload {
			why = "overloaded"
		}
		got = append(got, fmt.Sprintf("%s %s %s", b.Service, is, why))
	}
	require.Equal(t, want, got)
}

// failsUntilOpen calls until the breaker is open, and returns how often that was.
func failsUntilOpen(t *testing.T, call func() error) (n int) {
	for ; n < 2000; n++ {
		err := call()
		require.Error(t, err)
		if err.(*broach.Error).Code == broach.CircuitOpen {
			return n
		}
	}
	t.Fatal("it does not open")
	return n
}

// formsOf are calls of f under options, by each of the forms in which a function is called.
func formsOf(n *broach.Node, opts ...broach.CallOption) map[string]func() error {
	f := n.Caller("f", opts...)
	bound := broach.Bind[func() error](n, "f", opts...)
	on := f.With(broach.On(clustertest.AddrOf(1)))
	return map[string]func() error{
		"Call": func() error { _, err := f.Call(context.Background()); return err },
		"Bind": bound,
		"On":   func() error { _, err := on.Call(context.Background()); return err },
		"Send": func() error { return f.Send(context.Background()) },
		"Go":   func() error { _, err := broach.Go[any](context.Background(), f).Wait(); return err },
		"All": func() (err error) {
			for r := range f.All(context.Background()) {
				err = r.Err
			}
			return err
		},
	}
}

// "Breaker has the calls heed breakers of that policy": so many failures open it, it stays so for the pause, one call
// tries, and a success closes it. All forms of a call share it.
func TestBreakersFollowTheirPolicy(t *testing.T) {
	policy := broach.BreakerPolicy{Failures: 2, Pause: 20 * time.Second}
	for _, form := range []string{"Call", "Bind", "On", "Go", "All"} {
		withPatient(t, 0, func(c *clustertest.Cluster, caller *broach.Node, p *patient) {
			forms := formsOf(caller, broach.Breaker(policy))
			p.ill.Store(true)
			require.Equal(t, 2, failsUntilOpen(t, forms[form]), form)
			require.EqualValues(t, 2, p.reached.Load())
			for name, call := range formsOf(caller, broach.Breaker(policy)) {
				require.ErrorIs(t, call(), broach.ErrCircuitOpen, name)
			}
			shown := caller.Stats().Peers[0].Breakers
			require.Equal(t, []broach.BreakerStats{{
				Service: "f", Policy: broach.BreakerPolicy{Failures: 2, Window: time.Second, Pause: 20 * time.Second},
				Failures: 2, Open: true, TryIn: 20 * time.Second,
			}}, roundTryIn(shown))

			time.Sleep(20*time.Second - 10*time.Millisecond)
			require.ErrorIs(t, forms[form](), broach.ErrCircuitOpen)
			time.Sleep(20 * time.Millisecond)
			require.ErrorIs(t, forms[form](), broach.ErrInternal, "one tries")
			require.ErrorIs(t, forms[form](), broach.ErrCircuitOpen, "in vain")
			require.Equal(t, 3, caller.Stats().Peers[0].Breakers[0].Failures)
			p.ill.Store(false)
			time.Sleep(20*time.Second + time.Millisecond)
			require.NoError(t, forms[form](), "one tries")
			require.Empty(t, caller.Stats().Peers[0].Breakers)
			require.NoError(t, forms[form]())
		})
	}
}

// roundTryIn makes times that passed on the way to a test no matter.
func roundTryIn(list []broach.BreakerStats) []broach.BreakerStats {
	for i := range list {
		list[i].TryIn = list[i].TryIn.Round(time.Second)
	}
	return list
}

// "which all calls of the node under the same policy share, and no others": of two policies of one function at one
// provider, one is open and the other is not.
func TestTwoPoliciesOfOneFunction(t *testing.T) {
	withPatient(t, 0, func(c *clustertest.Cluster, caller *broach.Node, p *patient) {
		hasty := caller.Caller("f", broach.Breaker(broach.BreakerPolicy{Failures: 1, Pause: time.Minute}))
		usual, spelt := caller.Caller("f"), caller.Caller("f", broach.Breaker(broach.BreakerPolicy{Failures: 5}))
		call := func(f *broach.Caller) error { _, err := f.Call(context.Background()); return err }
		p.ill.Store(true)
		require.ErrorIs(t, call(hasty), broach.ErrInternal)
		require.ErrorIs(t, call(hasty), broach.ErrCircuitOpen)
		for _, f := range []*broach.Caller{usual, spelt, usual, spelt} {
			require.ErrorIs(t, call(f), broach.ErrInternal)
		}
		time.Sleep(time.Millisecond)
		requireBreakers(t, caller.Stats().Peers[0], "f open broken", "f closed overloaded")
		require.ErrorIs(t, call(usual), broach.ErrInternal)
		require.ErrorIs(t, call(spelt), broach.ErrCircuitOpen, "it is the one that calls without the option have")
		requireBreakers(t, caller.Stats().Peers[0], "f open broken", "f open broken")
		time.Sleep(time.Millisecond)
		require.Equal(t, []string{"f"}, caller.Stats().Peers[0].Open)

		p.ill.Store(false)
		time.Sleep(5*time.Second + time.Millisecond)
		require.NoError(t, call(usual))
		require.ErrorIs(t, call(hasty), broach.ErrCircuitOpen, "its pause is longer")
		require.True(t, isOpenAt(caller, clustertest.AddrOf(1)), "one of them still is")
		time.Sleep(time.Minute)
		require.NoError(t, call(hasty.With(broach.NoBreaker())), "the later option counts")
		require.Len(t, caller.Stats().Peers[0].Breakers, 1)
		require.NoError(t, call(usual.With(broach.NoBreaker(), broach.Breaker(broach.BreakerPolicy{}))))
		require.NoError(t, call(hasty))
		c.Until(time.Second, "none is open", func() bool { return !isOpenAt(caller, clustertest.AddrOf(1)) })
	})
}

// "for overload only while there is another": whatever the policy is.
func TestNoPolicyTakesTheLastProviderAwayForOverload(t *testing.T) {
	for _, pause := range []time.Duration{0, time.Hour} {
		policy := broach.BreakerPolicy{Failures: 1, Window: 1, Pause: pause}
		rushOf(t, 1, func(r *rush) {
			require.GreaterOrEqual(t, r.done.Load(), int64(285), "of 300 possible ones")
			require.Zero(t, r.open.Load())
		}, broach.Breaker(policy))
	}
	withPatient(t, 1, func(c *clustertest.Cluster, caller *broach.Node, p *patient) {
		var reached atomic.Int64
		full := func(context.Context) error { reached.Add(1); return broach.Errorf(broach.Overloaded, "full") }
		require.NoError(t, c.Nodes[1].Register("g", full))
		require.NoError(t, c.Nodes[2].Register("g", func() {}))
		require.NoError(t, caller.WaitFor(context.Background(), "g", 2))
		g := caller.Caller("g", broach.Breaker(broach.BreakerPolicy{Failures: 1, Window: 1, Pause: time.Hour}))
		for range 3 {
			_, _ = g.With(broach.On(clustertest.AddrOf(1))).Call(context.Background())
			time.Sleep(time.Millisecond)
		}
		before := reached.Load()
		for range 100 {
			_, err := g.Call(context.Background())
			require.NoError(t, err)
		}
		require.Equal(t, before, reached.Load(), "it is passed over while there is another")
		require.NoError(t, c.Nodes[2].Leave(context.Background()))
		_, err := g.Call(context.Background())
		clustertest.RequireError(t, err, broach.Overloaded, broach.Yes)
		require.Equal(t, before+1, reached.Load())
	})
}

// A policy that makes no sense is said by the first call, and by BindAll's and Bind's functions.
func TestBreakerPoliciesThatMakeNoSense(t *testing.T) {
	withPatient(t, 0, func(c *clustertest.Cluster, caller *broach.Node, p *patient) {
		for text, policy := range map[string]broach.BreakerPolicy{
			"the Failures of a Breaker are -1, must be from 0 to 1,000,000":       {Failures: -1},
			"the Failures of a Breaker are 1000001, must be from 0 to 1,000,000":  {Failures: 1_000_001},
			"the Window of a Breaker is -1ns, must be from 0 to 24h":              {Window: -1},
			"the Window of a Breaker is 24h0m0.000000001s, must be from 0 to 24h": {Window: 24*time.Hour + 1},
			"the Pause of a Breaker is -1ns, must be from 0 to 24h":               {Pause: -1},
			"the Pause of a Breaker is 25h0m0s, must be from 0 to 24h":            {Pause: 25 * time.Hour},
		} {
			for name, call := range formsOf(caller, broach.Breaker(policy)) {
				err := call()
				clustertest.RequireError(t, err, broach.InvalidArgument, broach.No)
				require.ErrorContains(t, err, text, name)
			}
		}
		require.Zero(t, p.reached.Load())
		most := broach.BreakerPolicy{Failures: 1_000_000, Window: 24 * time.Hour, Pause: 24 * time.Hour}
		require.NoError(t, formsOf(caller, broach.Breaker(most))["Call"]())
	})
}

// A provider that is killed and started again, or that leaves, takes its breakers along, of every policy.
func TestProvidersThatComeAnewHaveNoBreakers(t *testing.T) {
	policy := broach.Breaker(broach.BreakerPolicy{Failures: 1, Pause: time.Hour})
	for _, leaves := range []bool{false, true} {
		withPatient(t, 0, func(c *clustertest.Cluster, caller *broach.Node, p *patient) {
			p.ill.Store(true)
			require.Equal(t, 1, failsUntilOpen(t, formsOf(caller, policy)["Call"]))
			require.Equal(t, 5, failsUntilOpen(t, formsOf(caller)["Call"]))
			require.Len(t, caller.Stats().Peers[0].Breakers, 2)
			if leaves {
				require.NoError(t, c.Nodes[1].Leave(context.Background()))
			} else {
				c.Kill(c.Nodes[1])
			}
			c.Edit = func(cfg *broach.Config) { cfg.RandSeed = 99 }
			p.ill.Store(false)
			require.NoError(t, c.Start(1, 0).Register("f", p.f))
			c.Settle(2 * time.Second)
			for _, peer := range caller.Stats().Peers {
				require.Empty(t, peer.Breakers, "leaves: %v", leaves)
			}
			require.NoError(t, formsOf(caller, policy)["Call"]())
			require.NoError(t, formsOf(caller)["Call"]())
		})
	}
}

// "Of one function at one provider the breakers of 8 policies are kept, those that failed last": a program that makes
// ever new ones costs no more memory, and Stats show 100 at most, whatever fails.
func TestBreakersAreBounded(t *testing.T) {
	withPatient(t, 0, func(c *clustertest.Cluster, caller *broach.Node, p *patient) {
		p.ill.Store(true)
		under := func(i int) func() error {
			policy := broach.BreakerPolicy{Failures: 1, Pause: time.Minute + time.Duration(i)}
			return formsOf(caller, broach.Breaker(policy))["Call"]
		}
		for i := range 1000 {
			require.ErrorIs(t, under(i)(), broach.ErrInternal)
			time.Sleep(time.Microsecond)
		}
		shown := caller.Stats().Peers[0].Breakers
		require.Len(t, shown, 8)
		for i, b := range shown {
			require.Equal(t, time.Minute+time.Duration(992+i), b.Policy.Pause)
			require.True(t, b.Open)
		}
		require.ErrorIs(t, under(999)(), broach.ErrCircuitOpen)
		require.ErrorIs(t, under(0)(), broach.ErrInternal, "it was forgotten")

		for i := range 150 {
			require.NoError(t, c.Nodes[1].Register(fmt.Sprintf("f%03d", i), p.f))
		}
		require.NoError(t, caller.WaitFor(context.Background(), "f149", 1))
		for i := range 150 {
			f := caller.Caller(fmt.Sprintf("f%03d", i))
			for range 4 + i%2 { // every second one opens
				_, err := f.Call(context.Background())
				require.ErrorIs(t, err, broach.ErrInternal)
			}
		}
		shown = caller.Stats().Peers[0].Breakers
		require.Len(t, shown, 100)
		isClosed := func(b broach.BreakerStats) bool { return !b.Open }
		require.Equal(t, 83, slices.IndexFunc(shown, isClosed), "8 of f, 75 of others")
		require.Equal(t, "f000", shown[83].Service)
		time.Sleep(time.Second / 10) // Open is the loop's, which is told
		require.Len(t, caller.Stats().Peers[0].Open, 76)
	})
}
