package calls

import (
	"context"
	"testing"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

func TestTwoNodesCallEachOther(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		provider := c.Start(0)
		require.NoError(t, provider.Register("work01", func(x, y int) int { return x + y }))
		caller := c.Start(1, 0)
		v, err := caller.Caller("work01").Call(context.Background(), 1, 2)
		require.NoError(t, err)
		require.Equal(t, 3, v)
	})
}

func TestLargeEcho(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		provider := c.Start(0)
		require.NoError(t, provider.Register("echo", func(b []byte) []byte { return b }))
		caller := c.Start(1, 0)
		sent := make([]byte, 1<<20)
		back, err := broach.Call[[]byte](context.Background(), caller.Caller("echo"), sent)
		require.NoError(t, err)
		require.Equal(t, sent, back)
	})
}
