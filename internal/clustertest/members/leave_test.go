package members

import (
	"context"
	"fmt"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// [MEM-19] It is answered with Leave, again for each that comes within 300 ms. So a lost answer costs another 30 ms,
// not the whole time.
func TestALeaveUnderLossEndsWhenAllHaveHeardOfIt(t *testing.T) {
	t.Parallel()
	for _, loss := range []float64{0.1, 0.2} {
		t.Run(fmt.Sprint("loss ", loss), func(t *testing.T) {
			for seed := range uint64(40) {
				clustertest.Run(t, seed+1, func(c *clustertest.Cluster) {
					c.StartAll(4)
					c.Settle(2 * time.Second)
					c.Net.SetDefault(clustertest.Lossy(loss))
					start := time.Now()
					require.NoError(t, c.Nodes[3].Leave(context.Background()))
					require.Less(t, time.Since(start), 300*time.Millisecond)
					c.Settle(50 * time.Millisecond)
					for _, n := range c.Nodes[:3] {
						require.Equal(t, 1, clustertest.Count(n, broach.Left))
					}
				})
			}
		})
	}
}
