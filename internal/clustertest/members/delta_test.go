package members

import (
	"context"
	"fmt"
	"testing"
	"time"

	"broach/internal/clustertest"
	"broach/internal/simnet"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// One more of 10,000 functions is a datagram to each peer, and known to all at once.
func TestOneMoreOfManyFunctions(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.Net.SetDefault(simnet.Link{Delay: 100 * time.Microsecond})
		c.StartAll(8)
		provider := c.Nodes[7]
		for i := range wire.MaxFunctions - 1 {
			require.NoError(t, provider.Register(fmt.Sprintf("function%05d", i), func() {}))
		}
		for _, n := range c.Nodes {
			require.NoError(t, n.WaitFor(context.Background(), "function09998", 1))
		}
		time.Sleep(time.Second)
		before, start := provider.Stats().BytesOut, time.Now()
		require.NoError(t, provider.Register("function09999", func() {}))
		for _, n := range c.Nodes {
			require.NoError(t, n.WaitFor(context.Background(), "function09999", 1))
		}
		t.Log("known to all after", time.Since(start))
		require.LessOrEqual(t, time.Since(start), 10*time.Millisecond)
		require.Less(t, provider.Stats().BytesOut-before, uint64(5_000))
	})
}
