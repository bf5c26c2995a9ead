package broach

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkCallLoopback calls add(int, int) of another node over real sockets: both ends share the processors.
func BenchmarkCallLoopback(b *testing.B) {
	for _, callers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) { benchmarkCalls(b, callers) })
	}
}

func benchmarkCalls(b *testing.B, callers int) {
	provider, caller := startLoopback(b), startLoopback(b)
	require.NoError(b, provider.Register("add", func(x, y int) int { return x + y }))
	require.NoError(b, caller.Join(provider.Addr().String()))
	require.NoError(b, caller.WaitFor(b.Context(), "add", 1))
	add := caller.Caller("add")
	b.ReportAllocs()
	b.ResetTimer()
	inParallel(callers, b.N, func() {
		if sum, err := Call[int](context.Background(), add, 1, 2); err != nil || sum != 3 {
			b.Error(sum, err)
		}
	})
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
