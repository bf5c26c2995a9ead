package broach

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"broach/internal/race"

	"github.com/stretchr/testify/require"
)

// BenchmarkCallLoopback calls add(int, int) of another node over real sockets: both ends share the processors.
func BenchmarkCallLoopback(b *testing.B) {
	for _, callers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) { benchmarkCalls(b, callers) })
	}
}

func benchmarkCalls(b *testing.B, callers int) {
	add := offerLoopback(b, "add", func(x, y int) int { return x + y })
	inParallel(callers, b.N, func() {
		if sum, err := Call[int](context.Background(), add, 1, 2); err != nil || sum != 3 {
			b.Error(sum, err)
		}
	})
}

// BenchmarkEchoLoopback sends bytes to another node over real sockets and back.
func BenchmarkEchoLoopback(b *testing.B) {
	for _, c := range []struct{ size, callers int }{{1 << 10, 64}, {64 << 10, 16}, {1 << 20, 4}} {
		b.Run(fmt.Sprintf("size=%d/callers=%d", c.size, c.callers), func(b *testing.B) { benchmarkEcho(b, c.size, c.callers) })
	}
}

func benchmarkEcho(b *testing.B, size, callers int) {
	echo := offerLoopback(b, "echo", func(p []byte) []byte { return p })
	body := make([]byte, size)
	b.SetBytes(int64(size))
	inParallel(callers, b.N, func() {
		if p, err := Call[[]byte](context.Background(), echo, body); err != nil || len(p) != size {
			b.Error(len(p), err)
		}
	})
}

// offerLoopback returns the caller of a function that another node offers.
func offerLoopback(b *testing.B, name string, fn any) *Caller {
	provider, caller := startLoopback(b), startLoopback(b)
	require.NoError(b, provider.Register(name, fn))
	require.NoError(b, caller.Join(provider.Addr().String()))
	require.NoError(b, caller.WaitFor(b.Context(), name, 1))
	b.ReportAllocs()
	b.ResetTimer()
	return caller.Caller(name)
}

// inParallel does n pieces of work in so many goroutines.
func inParallel(goroutines, n int, work func()) {
	var left atomic.Int64
	left.Store(int64(n))
	ended := make(chan struct{})
	for range goroutines {
		go func() {
			for left.Add(-1) >= 0 {
				work()
			}
			ended <- struct{}{}
		}()
	}
	for range goroutines {
		<-ended
	}
}

func startLoopback(b testing.TB) *Node {
	n, err := Start(Config{LogLevel: "off"})
	require.NoError(b, err)
	b.Cleanup(func() { n.Close() })
	return n
}

// The allocations of a call of add(int, int), both ends together. It is measured over real sockets, in one process.
func TestCallsAllocateLittle(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
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
