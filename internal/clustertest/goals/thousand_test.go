package goals

import (
	"flag"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

var thousand = flag.Bool("thousand", false,
	"run the simulation of a thousand nodes, and those of goals_test.go with 256")

// A thousand nodes, the largest cluster that is promised, join through one seed at once; then one dies. All of them fit
// into 2 GiB.
func TestThousandNodes(t *testing.T) {
	if !*thousand {
		t.Skip("takes long: go test ./internal/clustertest/goals -run TestThousandNodes -thousand -v")
	}
	const fits = 2 << 30
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(fits - fits/4))
	wall := time.Now()
	clustertest.Run(t, 1000, func(c *clustertest.Cluster) {
		c.IsPlain = true
		c.StartAll(1000)
		t.Log("all see all after", c.Until(10*time.Second, "all see all",
			func() bool { return clustertest.AllSee(c.Nodes, 999) }))
		before := c.Net.Stats().Sent
		time.Sleep(10 * time.Second)
		require.True(t, clustertest.AllSee(c.Nodes, 999), "a live node was doubted")
		after := c.Net.Stats().Sent
		t.Logf("in quiet, a node sends %d datagrams and %d bytes a second",
			(after.Datagrams-before.Datagrams)/10000, (after.Bytes-before.Bytes)/10000)
		c.Kill(c.Nodes[500])
		others := append(c.Nodes[:500:500], c.Nodes[501:]...)
		t.Log("a death is known to all after",
			c.Until(5*time.Second, "all know", func() bool { return clustertest.AllSee(others, 998) }))
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		t.Logf("memory %d MiB", m.Sys>>20)
		require.Less(t, m.Sys, uint64(fits))
	})
	t.Log("wall time", time.Since(wall).Round(time.Second))
}
