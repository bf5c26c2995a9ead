package calls

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/race"

	"github.com/stretchr/testify/require"
)

// "Retries: attempts beyond the first": where the first provider refuses, the second is one.
func TestRetriesAreCounted(t *testing.T) {
	inTrio(t, func(c *clustertest.Cluster, caller *broach.Node) {
		f := caller.Caller("which", toFirst)
		require.NoError(t, c.Nodes[1].SetServing("which", false))
		for calls := range 3 { // the first of which has not heard of it, if it is made at once
			_, err := f.Call(c.T.Context())
			require.NoError(t, err)
			require.Equal(t, fmt.Sprint(calls+1, ": 1 retries"), called(t, caller, "which"))
			time.Sleep(time.Second)
		}
		require.Equal(t, "1: 1 Unavailable", served(t, c.Nodes[1], "which"))
		require.Equal(t, "3", served(t, c.Nodes[2], "which"))
	})
}

// A call that fails here, where this node is one of the providers, and goes elsewhere, and the other way round.
func TestRetriesHereAndElsewhereAreCounted(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		other, n := c.Start(0), c.Start(1, 0)
		refuse := func() error { return broach.Errorf(broach.Overloaded, "no") }
		guard := broach.Authorize(func(context.Context, *broach.Invocation) error { return refuse() })
		clustertest.Offer(c, other, n, "f", func() {}, guard)
		require.NoError(t, n.Register("f", func() {}, guard))
		_, err := n.Caller("f", broach.Local(broach.LocalEqual), toFirst).Call(c.T.Context())
		clustertest.RequireError(t, err, broach.Overloaded, broach.No)
		require.Equal(t, "1: 1 Overloaded, 1 retries", called(t, n, "f"))
		require.Equal(t, "1: 1 Overloaded", served(t, n, "f"))
		require.Equal(t, "1: 1 Overloaded", served(t, other, "f"))
	})
}

// "hedges among them", and one call at the caller, however many run.
func TestHedgesAreCounted(t *testing.T) {
	racers := []*racer{{slow: time.Second}, {slow: time.Second}, {slow: 10 * time.Millisecond}}
	inRace(t, racers, idempotent(), func(c *clustertest.Cluster, f *broach.Caller) {
		_, err := f.With(broach.Hedge(50 * time.Millisecond)).Call(c.T.Context())
		require.NoError(t, err)
		require.Equal(t, "1: 2 retries", called(t, c.Nodes[0], "f"))
		time.Sleep(10 * time.Millisecond)
		for i, want := range []string{"1: 1 Canceled", "1: 1 Canceled", "1"} {
			require.Equal(t, want, served(t, c.Nodes[i+1], "f"))
		}
		at := clustertest.CountsOf(c.Nodes[0].Stats().Called, "f")
		require.Equal(t, 110*time.Millisecond, at.Latency.Sum.Round(time.Millisecond))
	})
}

// A call that waits for a provider is one call, of the name that came meanwhile; what it had tried before counts.
func TestCallsThatWaitAreCounted(t *testing.T) {
	whileWaiting(t, func(c *clustertest.Cluster, caller, other *broach.Node) {
		f := broach.Go[int](c.T.Context(), caller.Caller("add", broach.WaitReady()), 1, 2)
		time.Sleep(time.Second)
		require.Equal(t, "0: 1 running", called(t, caller, ""))
		require.NoError(t, other.Register("add", add))
		_, err := f.Wait()
		require.NoError(t, err)
		require.Equal(t, "1", called(t, caller, "add"))
		require.Equal(t, "0", called(t, caller, ""))

		require.NoError(t, other.SetServing("add", false)) // which the caller does not know at once
		f = broach.Go[int](c.T.Context(), caller.Caller("add", broach.WaitReady()), 1, 2)
		time.Sleep(time.Second)
		require.Equal(t, "1: 1 running", called(t, caller, "add"))
		require.NoError(t, other.SetServing("add", true))
		_, err = f.Wait()
		require.NoError(t, err)
		require.Equal(t, "2: 1 retries", called(t, caller, "add"))
	})
}

// Around Interceptors a call is one, whatever they make of it: not made, made twice, or with another outcome.
func TestInterceptedCallsAreCountedOnce(t *testing.T) {
	twice := func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
		_, _ = next(ctx, call)
		time.Sleep(20 * time.Millisecond)
		return next(ctx, call)
	}
	functions := map[string]any{"never": add, "twice": add, "fails": add, "misfit": add, "served": add}
	tr := &tracer{}
	clustertest.InPair(t, functions, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		for name, i := range map[string]broach.Interceptor{
			"never": always(3, nil), "misfit": always("3", nil),
			"twice": twice, "fails": after(0, errors.New("no luck")),
		} {
			_, _ = broach.Call[int](c.T.Context(), caller.Caller(name, broach.CallInterceptors(i)), 1, 2)
		}
		require.Equal(t, "1", called(t, caller, "never"))
		require.Equal(t, "0", served(t, provider, "never"))
		require.Equal(t, "1: 1 retries", called(t, caller, "twice"))
		require.Equal(t, "2", served(t, provider, "twice"))
		twice := clustertest.CountsOf(caller.Stats().Called, "twice")
		require.Equal(t, 20*time.Millisecond, twice.Latency.Sum.Round(time.Millisecond))
		require.Equal(t, "1: 1 Application", called(t, caller, "fails"))
		require.Equal(t, "1", served(t, provider, "fails"))
		require.Equal(t, "1: 1 Internal", called(t, caller, "misfit"))
	}, func(cfg *broach.Config) { cfg.Tracer = tr })
	require.NotEmpty(t, tr.take())
}

// "names that nobody offers share one entry", which tells where names come from strangers.
func TestNamesThatNobodyOffersAreCountedTogether(t *testing.T) {
	clustertest.InPair(t, map[string]any{"f": func() {}}, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		for i := range 100 {
			_, err := caller.Caller(fmt.Sprint("nobody's ", i)).Call(c.T.Context())
			clustertest.RequireError(t, err, broach.NotFound, broach.No)
		}
		for r := range caller.Caller("nobody's").All(c.T.Context()) {
			clustertest.RequireError(t, r.Err, broach.NotFound, broach.No)
		}
		require.Equal(t, "101: 101 NotFound", called(t, caller, ""))
		require.Len(t, caller.Stats().Called, 1)
		require.NoError(t, provider.Unregister("f"))
		_, err := caller.Caller("f").Call(c.T.Context()) // which does not know that yet
		clustertest.RequireError(t, err, broach.NotFound, broach.No)
		require.Equal(t, "1: 1 NotFound", served(t, provider, ""), "the provider has never had such a name")
		require.Equal(t, "1: 1 NotFound", called(t, caller, "f"), "the caller knew somebody who had")
	})
}

// "at most 10,000 names, further ones share it too": 20,000 functions come and go, and are called.
func TestSoManyNamesAreCountedApart(t *testing.T) {
	if race.Enabled {
		t.Skip("20,000 functions take half a minute")
	}
	clustertest.InPair(t, nil, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		for from := 0; from < 20_000; from += 2000 {
			for i := from; i < from+2000; i++ {
				require.NoError(t, provider.Register(nameOf(i), func() {}))
			}
			require.NoError(t, caller.WaitFor(c.T.Context(), nameOf(from+1999), 1))
			for i := from; i < from+2000; i++ {
				_, err := caller.Caller(nameOf(i)).Call(c.T.Context())
				require.NoError(t, err)
				require.NoError(t, provider.Unregister(nameOf(i)))
			}
		}
		for _, list := range [][]broach.FunctionStats{caller.Stats().Called, provider.Stats().Served} {
			require.Len(t, list, 10_001)
			require.Equal(t, "10000", clustertest.Counts(t, list, ""))
			require.Equal(t, "1", clustertest.Counts(t, list, nameOf(9999)))
			require.Equal(t, "0", clustertest.Counts(t, list, nameOf(10_000)), "it is not there")
		}
		before := clustertest.LiveMemory()
		for i := range 20_000 {
			_, err := caller.Caller(fmt.Sprint("nobody's ", i)).Call(c.T.Context())
			require.Error(t, err)
		}
		require.Less(t, clustertest.LiveMemory()-before, int64(1<<20), "bytes of 20,000 names that nobody offers")
	})
}

func nameOf(i int) string { return fmt.Sprintf("function%05d", i) }
