package broach

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

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

func manyName(i int) string { return "one of many functions " + string(rune('一'+i)) }
