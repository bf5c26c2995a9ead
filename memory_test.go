package broach

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMemoryBound(t *testing.T) {
	m := &memory{size: 100}
	require.True(t, m.take(60))
	require.False(t, m.take(41))
	require.True(t, m.take(40))
	m.give(60)
	require.True(t, m.take(60))
}

func TestMemoryTakenTogether(t *testing.T) {
	m := &memory{size: 3}
	var g sync.WaitGroup
	for range 4 {
		g.Go(func() {
			for range 1000 {
				if m.take(2) {
					m.give(2)
				}
			}
		})
	}
	g.Wait()
	require.Zero(t, m.used.Load())
}

func TestMemoryBuffers(t *testing.T) {
	m := &memory{}
	for _, n := range []int64{1, 4095, 4096, 4097, 5120, 5121, 7000, 8192, 8193, 1 << 20, 1<<20 + 1} {
		b := m.buffer(n)
		require.Len(t, b, int(n))
		require.Equal(t, bufferSize(n), int64(cap(b)))
		require.LessOrEqual(t, int64(cap(b)), n+n/4+1, "a buffer of %d bytes", n)
		m.recycle(b)
		require.Len(t, m.buffer(n), int(n))
	}
	class, size := bufferClass(1 << 32)
	require.Equal(t, bufferClasses-1, class)
	require.Equal(t, int64(1<<32), size)

	t.Log("what is not from here is not taken for it")
	m.recycle(nil)
	m.recycle(make([]byte, 5000, 5001))
	require.Equal(t, 5120, cap(m.buffer(5001)))
}
