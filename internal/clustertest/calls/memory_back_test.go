package calls

import (
	"context"
	"runtime"
	"testing"
	"time"

	"broach/internal/clustertest"
	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// What large messages took goes back to the system within seconds after they have ended, though nobody collects
// garbage.
func TestMemoryOfLargeMessagesGoesBack(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		provider, caller := c.Pair(simnet.Link{})
		require.NoError(t, provider.Register("echo", func(b []byte) []byte { return b }))
		require.NoError(t, caller.WaitFor(context.Background(), "echo", 1))
		echo := caller.Caller("echo")
		_, err := echo.Call(context.Background(), make([]byte, 60<<20))
		require.NoError(t, err)
		held := resident()
		time.Sleep(9 * time.Second)
		require.NoError(t, caller.Close()) // waits for what it does in the background
		require.NoError(t, provider.Close())
		require.Less(t, resident(), held-50<<20)
	})
}

// resident is how much of the heap the system has not got back.
func resident() int {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapSys - m.HeapReleased)
}
