package broach

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// [TAB-7] A function that does not serve is known and not called.
func TestAFunctionThatDoesNotServeIsPassedOver(t *testing.T) {
	inTrio(t, func(c *cluster, caller *Node) {
		which, one, two := caller.Caller("which"), c.nodes[1], c.nodes[2]
		require.NoError(t, one.SetServing("which", false))
		c.settle(time.Second)
		time.Sleep(time.Second)
		require.Equal(t, map[int]int{2: 50}, whoAnswers(t, which, 50))
		require.Equal(t, map[int]int{2: 50}, whoAnswers(t, one.Caller("which"), 50), "calls of its own process go elsewhere too")
		require.Equal(t, []netip.AddrPort{addrOf(2)}, caller.Services()[0].Providers)
		require.Equal(t, []netip.AddrPort{addrOf(2)}, one.Services()[0].Providers)
		_, err := which.With(On(addrOf(1))).Call(context.Background())
		requireError(t, err, Unavailable, No)

		require.NoError(t, two.SetServing("which", false))
		time.Sleep(time.Second)
		for _, n := range c.nodes {
			_, err = n.Caller("which").Call(context.Background())
			requireError(t, err, Unavailable, No)
			requireError(t, n.Caller("which").Send(context.Background()), Unavailable, No)
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

// [TAB-7] A Request or Send of it that comes nevertheless is answered Unavailable, executed no ... and callers ask
// another provider.
func TestACallOfAFunctionThatHasJustStoppedServing(t *testing.T) {
	inTrio(t, func(c *cluster, caller *Node) {
		which, one := caller.Caller("which", Balance(faulty(func(CallInfo, []Provider) int { return 0 }))), c.nodes[1]
		unheard := func(call func()) {
			require.NoError(t, one.SetServing("which", false))
			require.Len(t, caller.calling.view.Load().routes.get("which").candidates(), 2, "nobody has told the caller yet")
			call()
			require.NoError(t, one.SetServing("which", true))
			time.Sleep(time.Second)
		}
		unheard(func() {
			i, err := Call[int](context.Background(), which)
			require.NoError(t, err)
			require.Equal(t, 2, i)
		})
		unheard(func() { require.NoError(t, which.Send(context.Background())) })
		unheard(func() {
			_, err := which.With(NoRetry()).Call(context.Background())
			require.Equal(t, addrOf(1).String(), requireError(t, err, Unavailable, No).Node)
		})
		unheard(func() { requireError(t, which.With(NoRetry()).Send(context.Background()), Unavailable, No) })
	})
}

// [TAB-7] calls of it that run go on.
func TestCallsThatRunGoOnWhereAFunctionStopsServing(t *testing.T) {
	slow := func() int { time.Sleep(time.Second); return 7 }
	inPair(t, map[string]any{"slow": slow}, func(c *cluster, provider, caller *Node) {
		here, there := Go[int](context.Background(), provider.Caller("slow")), Go[int](context.Background(), caller.Caller("slow"))
		time.Sleep(100 * time.Millisecond)
		require.NoError(t, provider.SetServing("slow", false))
		for _, f := range []*Future[int]{here, there} {
			v, err := f.Wait()
			require.NoError(t, err)
			require.Equal(t, 7, v)
		}
		_, err := caller.Caller("slow").Call(context.Background())
		requireError(t, err, Unavailable, No)
	})
}

func TestLocalModesWhereAFunctionDoesNotServe(t *testing.T) {
	inTrio(t, func(c *cluster, caller *Node) {
		require.NoError(t, caller.Register("which", func() int { return 0 }))
		require.NoError(t, caller.SetServing("which", false))
		which := caller.Caller("which")
		require.Len(t, whoAnswers(t, which, 50), 2)
		for _, b := range []Balancer{LeastLoaded(), Random()} {
			require.NotContains(t, whoAnswers(t, which.With(Local(LocalEqual), Balance(b)), 100), 0)
		}
		for _, o := range []CallOption{Local(LocalOnly), On(addrOf(0))} {
			_, err := which.With(o).Call(context.Background())
			requireError(t, err, Unavailable, No)
		}
		var replied []netip.AddrPort
		for r := range which.All(context.Background()) {
			require.NoError(t, r.Err)
			replied = append(replied, r.Node)
		}
		require.ElementsMatch(t, []netip.AddrPort{addrOf(1), addrOf(2)}, replied)
	})
}

func TestSetServingOfWhatIsNotThere(t *testing.T) {
	inPair(t, map[string]any{"f": func() {}}, func(c *cluster, provider, caller *Node) {
		require.ErrorIs(t, caller.SetServing("f", false), ErrNotFound, "it is another node's")
		require.ErrorIs(t, provider.SetServing("g", false), ErrNotFound)
		require.ErrorIs(t, provider.SetServing("", false), ErrNotFound)
		require.ErrorIs(t, provider.SetServing(tableService, false), ErrNotFound)
		version := provider.linking.wires.Table.Load()
		require.NoError(t, provider.SetServing("f", true), "as it was")
		time.Sleep(time.Second)
		require.Equal(t, version, provider.linking.wires.Table.Load(), "there is nothing to tell")

		require.NoError(t, provider.Register("__own", func() {}))
		require.NoError(t, provider.SetServing("__own", false))
		_, err := provider.Caller("__own").Call(context.Background())
		requireError(t, err, Unavailable, No)
		require.NoError(t, provider.SetServing("__own", true))
		_, err = provider.Caller("__own").Call(context.Background())
		require.NoError(t, err)

		require.NoError(t, provider.SetServing("f", false))
		require.NoError(t, provider.Unregister("f"))
		require.NoError(t, provider.Register("f", func() {}))
		_, err = provider.Caller("f").Call(context.Background())
		require.NoError(t, err, "a function serves from the moment it is registered")
		provider.Close()
		require.ErrorIs(t, provider.SetServing("f", false), ErrClosed)
	})
}

func TestWatchTellsWhoStopsServing(t *testing.T) {
	inPair(t, map[string]any{"a": func() {}, "b": func() {}}, func(c *cluster, provider, caller *Node) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		eventc := follow(ctx, caller)
		time.Sleep(time.Second)
		take(eventc)
		for _, serving := range []bool{false, true} {
			require.NoError(t, provider.SetServing("b", serving))
			time.Sleep(time.Second)
		}
		require.Equal(t, []string{"service paused: node0 b", "service resumed: node0 b"}, take(eventc))

		require.NoError(t, provider.SetServing("b", false))
		require.NoError(t, provider.Register("c", func() {}))
		require.NoError(t, provider.SetServing("c", false))
		time.Sleep(time.Second)
		want := []string{"service paused: node0 b", "service added: node0 c", "service paused: node0 c"}
		require.Equal(t, want, take(eventc))
		late := follow(ctx, caller)
		time.Sleep(time.Second)
		require.Equal(t, []string{"member up: node0", "service added: node0 a", "service added: node0 b", "service paused: node0 b",
			"service added: node0 c", "service paused: node0 c"}, take(late))
		require.NoError(t, provider.Unregister("c"))
		time.Sleep(time.Second)
		require.Equal(t, []string{"service removed: node0 c"}, take(eventc))
	})
}

// What serves and what does not travels by a difference, too, where the table is too large for a hello.
func TestSetServingInALargeTable(t *testing.T) {
	inPair(t, nil, func(c *cluster, provider, caller *Node) {
		for i := range 300 {
			require.NoError(t, provider.Register(manyName(i), func() {}))
		}
		require.NoError(t, caller.WaitFor(context.Background(), manyName(299), 1))
		time.Sleep(time.Second)
		require.NoError(t, provider.SetServing(manyName(150), false))
		time.Sleep(time.Second)
		_, err := caller.Caller(manyName(150)).Call(context.Background())
		require.Empty(t, requireError(t, err, Unavailable, No).Node, "the caller knows")
		_, err = caller.Caller(manyName(151)).Call(context.Background())
		require.NoError(t, err)
	})
}

func manyName(i int) string { return "one of many functions " + string(rune('一'+i)) }
