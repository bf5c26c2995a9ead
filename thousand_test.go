package broach

import (
	"flag"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var thousand = flag.Bool("thousand", false, "run the simulation of a thousand nodes, and those of goals_test.go with 256")

// A thousand nodes, the largest cluster that is promised, join through one seed at once; then one dies. All of them fit
// into 2 GiB.
func TestThousandNodes(t *testing.T) {
	if !*thousand {
		t.Skip("takes long: go test -run TestThousandNodes -thousand -v .")
	}
	const fits = 2 << 30
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(fits - fits/4))
	wall := time.Now()
	inCluster(t, 1000, func(c *cluster) {
		c.startAll(1000)
		t.Log("all see all after", c.until(10*time.Second, "all see all", func() bool { return allSee(c.nodes, 999) }))
		before := c.net.Stats().Sent
		time.Sleep(10 * time.Second)
		require.True(t, allSee(c.nodes, 999), "a live node was doubted")
		after := c.net.Stats().Sent
		t.Logf("in quiet, a node sends %d datagrams and %d bytes a second",
			(after.Datagrams-before.Datagrams)/10000, (after.Bytes-before.Bytes)/10000)
		c.kill(c.nodes[500])
		others := append(c.nodes[:500:500], c.nodes[501:]...)
		t.Log("a death is known to all after", c.until(5*time.Second, "all know", func() bool { return allSee(others, 998) }))
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		t.Logf("memory %d MiB", m.Sys>>20)
		require.Less(t, m.Sys, uint64(fits))
	})
	t.Log("wall time", time.Since(wall).Round(time.Second))
}
