package calls

import (
	"context"
	"runtime"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// inTrio runs a test on a caller, node 0, and two providers of "which", which says their number.
func inTrio(t *testing.T, test func(c *clustertest.Cluster, caller *broach.Node)) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		caller := c.Start(0)
		startProvider(c, 1)
		startProvider(c, 2)
		require.NoError(t, caller.WaitFor(context.Background(), "which", 2))
		c.Settle(time.Second)
		test(c, caller)
	})
}

// startProvider starts node i, which offers its number.
func startProvider(c *clustertest.Cluster, i int) *broach.Node {
	n := c.Start(i, 0)
	require.NoError(c.T, n.Register("which", func() int { return i }))
	return n
}

// whoAnswers counts who answers calls made one after the other.
func whoAnswers(t *testing.T, c *broach.Caller, calls int) map[int]int {
	got := map[int]int{}
	for range calls {
		i, err := broach.Call[int](context.Background(), c)
		require.NoError(t, err)
		got[i]++
	}
	return got
}

// exit ends the goroutine that calls it.
func exit() { runtime.Goexit() }

func idempotent() []broach.RegisterOption { return []broach.RegisterOption{broach.Idempotent()} }
