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
