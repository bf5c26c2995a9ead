//go:build !race

package broach

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// The allocations of a call of add(int, int), both ends together. It is measured over real sockets, in one process.
func TestCallsAllocateLittle(t *testing.T) {
	provider, caller := startLoopback(t), startLoopback(t)
	require.NoError(t, provider.Register("add", func(x, y int) int { return x + y }))
	require.NoError(t, caller.Join(provider.Addr().String()))
	require.NoError(t, caller.WaitFor(t.Context(), "add", 1))
	add := caller.Caller("add")
	bound := Bind[func(context.Context, int, int) (int, error)](caller, "add")
	const ceiling = 3 // the arguments, the request at the provider, and what the pools lose to the collector
	require.LessOrEqual(t, testing.AllocsPerRun(2000, func() {
		if _, err := Call[int](context.Background(), add, 1, 2); err != nil {
			t.Error(err)
		}
	}), float64(ceiling), "Call")
	require.LessOrEqual(t, testing.AllocsPerRun(2000, func() {
		if _, err := bound(context.Background(), 1000, 2000); err != nil {
			t.Error(err)
		}
	}), float64(ceiling), "Bind")
}
