package members

import (
	"runtime"
	"testing"

	"broach"

	"github.com/stretchr/testify/require"
)

// A node that nobody calls takes little memory: programs may well start one that they seldom need.
func TestAnIdleNodeIsSmall(t *testing.T) {
	const nodes, most = 16, 160 << 10 // bytes of each
	startIdle(t)                      // what all nodes of a process share
	before := heap()
	for range nodes {
		startIdle(t)
	}
	each := (heap() - before) / nodes
	t.Logf("%d KiB", each>>10)
	require.Less(t, each, most)
}

func startIdle(t *testing.T) {
	n, err := broach.Start(broach.Config{LogLevel: "off"})
	require.NoError(t, err)
	t.Cleanup(func() { n.Close() })
}

// heap is what lives on it.
func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // and what the first took out of pools
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
