package members

import (
	"testing"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// A node that nobody calls takes little memory: programs may well start one that they seldom need.
func TestAnIdleNodeIsSmall(t *testing.T) {
	const nodes, most = 16, int64(160 << 10) // bytes of each
	startIdle(t)                             // what all nodes of a process share
	before := clustertest.LiveMemory()
	for range nodes {
		startIdle(t)
	}
	each := (clustertest.LiveMemory() - before) / nodes
	t.Logf("%d KiB", each>>10)
	require.Less(t, each, most)
}

func startIdle(t *testing.T) {
	n, err := broach.Start(broach.Config{LogLevel: "off"})
	require.NoError(t, err)
	t.Cleanup(func() { n.Close() })
}
