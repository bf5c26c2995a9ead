package calls

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// [TAB-7] A function that does not serve is known and not called.
func TestAFunctionThatDoesNotServeIsPassedOver(t *testing.T) {
	inTrio(t, func(c *clustertest.Cluster, caller *broach.Node) {
		which, one, two := caller.Caller("which"), c.Nodes[1], c.Nodes[2]
		require.NoError(t, one.SetServing("which", false))
		c.Settle(time.Second)
		time.Sleep(time.Second)
		require.Equal(t, map[int]int{2: 50}, whoAnswers(t, which, 50))
		require.Equal(t, map[int]int{2: 50}, whoAnswers(t, one.Caller("which"), 50),
			"calls of its own process go elsewhere too")
		require.Equal(t, []netip.AddrPort{clustertest.AddrOf(2)}, caller.Services()[0].Providers)
		require.Equal(t, []netip.AddrPort{clustertest.AddrOf(2)}, one.Services()[0].Providers)
		_, err := which.With(broach.On(clustertest.AddrOf(1))).Call(context.Background())
		clustertest.RequireError(t, err, broach.Unavailable, broach.No)

		require.NoError(t, two.SetServing("which", false))
		time.Sleep(time.Second)
		for _, n := range c.Nodes {
			_, err = n.Caller("which").Call(context.Background())
			clustertest.RequireError(t, err, broach.Unavailable, broach.No)
			clustertest.RequireError(t, n.Caller("which").Send(context.Background()), broach.Unavailable, broach.No)
			require.Len(t, n.Services(), 1, "it is known")
			require.Empty(t, n.Services()[0].Providers)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		require.ErrorIs(t, caller.WaitFor(ctx, "which", 1), context.DeadlineExceeded)

		require.NoError(t, one.SetServing("which", true))
		require.NoError(t, caller.WaitFor(context.Background(), "which", 1))
		require.Equal(t, map[int]int{1: 50}, whoAnswers(t, which, 50))
		require.Equal(t, map[int]int{1: 50}, whoAnswers(t, one.Caller("which"), 50))
	})
}

// [TAB-7] calls of it that run go on.
func TestCallsThatRunGoOnWhereAFunctionStopsServing(t *testing.T) {
	slow := func() int { time.Sleep(time.Second); return 7 }
	clustertest.InPair(t, map[string]any{"slow": slow}, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		here, there := broach.Go[int](context.Background(),
			provider.Caller("slow")), broach.Go[int](context.Background(), caller.Caller("slow"))
		time.Sleep(100 * time.Millisecond)
		require.NoError(t, provider.SetServing("slow", false))
		for _, f := range []*broach.Future[int]{here, there} {
			v, err := f.Wait()
			require.NoError(t, err)
			require.Equal(t, 7, v)
		}
		_, err := caller.Caller("slow").Call(context.Background())
		clustertest.RequireError(t, err, broach.Unavailable, broach.No)
	})
}

func TestLocalModesWhereAFunctionDoesNotServe(t *testing.T) {
	inTrio(t, func(c *clustertest.Cluster, caller *broach.Node) {
		require.NoError(t, caller.Register("which", func() int { return 0 }))
		require.NoError(t, caller.SetServing("which", false))
		which := caller.Caller("which")
		require.Len(t, whoAnswers(t, which, 50), 2)
		for _, b := range []broach.Balancer{broach.LeastLoaded(), broach.Random()} {
			elsewhere := which.With(broach.Local(broach.LocalEqual), broach.Balance(b))
			require.NotContains(t, whoAnswers(t, elsewhere, 100), 0)
		}
		for _, o := range []broach.CallOption{broach.Local(broach.LocalOnly), broach.On(clustertest.AddrOf(0))} {
			_, err := which.With(o).Call(context.Background())
			clustertest.RequireError(t, err, broach.Unavailable, broach.No)
		}
		var replied []netip.AddrPort
		for r := range which.All(context.Background()) {
			require.NoError(t, r.Err)
			replied = append(replied, r.Node)
		}
		require.ElementsMatch(t, []netip.AddrPort{clustertest.AddrOf(1), clustertest.AddrOf(2)}, replied)
	})
}

func TestWatchTellsWhoStopsServing(t *testing.T) {
	clustertest.InPair(t, map[string]any{"a": func() {}, "b": func() {}}, func(
		c *clustertest.Cluster, provider, caller *broach.Node,
	) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		eventc := clustertest.Follow(ctx, caller)
		time.Sleep(time.Second)
		clustertest.Take(eventc)
		for _, serving := range []bool{false, true} {
			require.NoError(t, provider.SetServing("b", serving))
			time.Sleep(time.Second)
		}
		require.Equal(t, []string{"service paused: node0 b", "service resumed: node0 b"}, clustertest.Take(eventc))

		require.NoError(t, provider.SetServing("b", false))
		require.NoError(t, provider.Register("c", func() {}))
		require.NoError(t, provider.SetServing("c", false))
		time.Sleep(time.Second)
		want := []string{"service paused: node0 b", "service added: node0 c", "service paused: node0 c"}
		require.Equal(t, want, clustertest.Take(eventc))
		late := clustertest.Follow(ctx, caller)
		time.Sleep(time.Second)
		require.Equal(t, []string{"member up: node0", "service added: node0 a", "service added: node0 b",
			"service paused: node0 b",
			"service added: node0 c", "service paused: node0 c"}, clustertest.Take(late))
		require.NoError(t, provider.Unregister("c"))
		time.Sleep(time.Second)
		require.Equal(t, []string{"service removed: node0 c"}, clustertest.Take(eventc))
	})
}

// What serves and what does not travels by a difference, too, where the table is too large for a hello.
func TestSetServingInALargeTable(t *testing.T) {
	clustertest.InPair(t, nil, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		for i := range 300 {
			require.NoError(t, provider.Register(manyName(i), func() {}))
		}
		require.NoError(t, caller.WaitFor(context.Background(), manyName(299), 1))
		time.Sleep(time.Second)
		require.NoError(t, provider.SetServing(manyName(150), false))
		time.Sleep(time.Second)
		_, err := caller.Caller(manyName(150)).Call(context.Background())
		require.Empty(t, clustertest.RequireError(t, err, broach.Unavailable, broach.No).Node, "the caller knows")
		_, err = caller.Caller(manyName(151)).Call(context.Background())
		require.NoError(t, err)
	})
}

func manyName(i int) string { return "one of many functions " + string(rune('一'+i)) }

// [TAB-7] A Request or Send of it that comes nevertheless is answered Unavailable, executed no ... and callers ask
// another provider.
func TestACallOfAFunctionThatHasJustStoppedServing(t *testing.T) {
	inTrio(t, func(c *clustertest.Cluster, caller *broach.Node) {
		toTheFirst := clustertest.PickFunc(func(broach.CallInfo, []broach.Provider) int { return 0 })
		which, one := caller.Caller("which", broach.Balance(toTheFirst)), c.Nodes[1]
		unheard := func(call func()) {
			require.NoError(t, one.SetServing("which", false))
			require.Len(t, caller.Services()[0].Providers, 2, "nobody has told the caller yet")
			call()
			require.NoError(t, one.SetServing("which", true))
			time.Sleep(time.Second)
		}
		unheard(func() {
			i, err := broach.Call[int](context.Background(), which)
			require.NoError(t, err)
			require.Equal(t, 2, i)
		})
		unheard(func() { require.NoError(t, which.Send(context.Background())) })
		unheard(func() {
			_, err := which.With(broach.NoRetry()).Call(context.Background())
			e := clustertest.RequireError(t, err, broach.Unavailable, broach.No)
			require.Equal(t, clustertest.AddrOf(1).String(), e.Node)
		})
		unheard(func() {
			err := which.With(broach.NoRetry()).Send(context.Background())
			clustertest.RequireError(t, err, broach.Unavailable, broach.No)
		})
	})
}

func TestSetServingOfWhatIsNotThere(t *testing.T) {
	clustertest.InPair(t, map[string]any{"f": func() {}}, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		require.ErrorIs(t, caller.SetServing("f", false), broach.ErrNotFound, "it is another node's")
		require.ErrorIs(t, provider.SetServing("g", false), broach.ErrNotFound)
		require.ErrorIs(t, provider.SetServing("", false), broach.ErrNotFound)
		require.ErrorIs(t, provider.SetServing("\x00table", false), broach.ErrNotFound)
		version := c.TableVersion(caller, provider)
		require.NoError(t, provider.SetServing("f", true), "as it was")
		time.Sleep(time.Second)
		require.Equal(t, version, c.TableVersion(caller, provider), "there is nothing to tell")

		require.NoError(t, provider.Register("__own", func() {}))
		require.NoError(t, provider.SetServing("__own", false))
		_, err := provider.Caller("__own").Call(context.Background())
		clustertest.RequireError(t, err, broach.Unavailable, broach.No)
		require.NoError(t, provider.SetServing("__own", true))
		_, err = provider.Caller("__own").Call(context.Background())
		require.NoError(t, err)

		require.NoError(t, provider.SetServing("f", false))
		require.NoError(t, provider.Unregister("f"))
		require.NoError(t, provider.Register("f", func() {}))
		_, err = provider.Caller("f").Call(context.Background())
		require.NoError(t, err, "a function serves from the moment it is registered")
		provider.Close()
		require.ErrorIs(t, provider.SetServing("f", false), broach.ErrClosed)
	})
}
