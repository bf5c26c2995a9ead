package calls

import (
	"context"
	"iter"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// A nil context is one that never ends, whatever takes it: calls, streams, events and waiting, here and at a peer, with
// an Interceptor and without.
func TestANilContextNeverEnds(t *testing.T) {
	functions := map[string]any{
		"add": func(x, y int) int { return x + y },
		"one": func() iter.Seq2[int, error] { return func(yield func(int, error) bool) { yield(1, nil) } },
	}
	clustertest.InPair(t, functions, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		var none context.Context
		for _, n := range []*broach.Node{provider, caller} {
			require.NoError(c.T, n.WaitJoined(none))
			require.NoError(c.T, n.WaitFor(none, "add", 1))
			for _, opts := range [][]broach.CallOption{nil, {broach.CallInterceptors(passOn)}} {
				add := n.Caller("add", opts...)
				sum, err := broach.Call[int](none, add, 1, 2)
				require.Equal(c.T, []any{3, nil}, []any{sum, err})
				sum, err = broach.Go[int](none, add, 1, 2).Wait()
				require.Equal(c.T, []any{3, nil}, []any{sum, err})
				_, _, err = broach.Call2[int, int](none, add, 1, 2)
				clustertest.RequireError(c.T, err, broach.InvalidArgument, broach.Yes)
				_, err = add.With(broach.WaitReady()).Call(none, 1, 2)
				require.NoError(c.T, err)
				require.NoError(c.T, add.Send(none, 1, 2))
				for r := range add.All(none, 1, 2) {
					require.NoError(c.T, r.Err)
				}
				for item, err := range broach.Stream[int](none, n.Caller("one", opts...)) {
					require.Equal(c.T, []any{1, nil}, []any{item, err})
				}
			}
			requireNilElsewhere(c.T, n)
		}
		require.NoError(c.T, caller.Leave(none))
	})
}

func requireNilElsewhere(t *testing.T, n *broach.Node) {
	var none context.Context
	_, err := n.Publish(none, "news", 1)
	require.NoError(t, err)
	_, err = n.Describe(none, "add")
	require.NoError(t, err)
	_, err = n.Inspect(none, n.Addr(), broach.ViewMembers)
	require.NoError(t, err)
	require.NoError(t, n.WaitForSubscribers(none, "news", 0))
	_, isServed := broach.InvocationFrom(none)
	require.False(t, isServed)
	for range n.Watch(none) {
		break
	}
	ctx, cancel := context.WithTimeout(broach.WithMeta(none, "k", "v"), time.Second)
	defer cancel()
	_, err = n.Caller("add").Call(ctx, 1, 2)
	require.NoError(t, err)
}
