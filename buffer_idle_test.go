package broach

import (
	"context"
	"runtime"
	"testing"
	"time"

	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// Memory goes back when nothing went on from one look to the next, and the looks are seldom where a collection takes long.
func TestIdleWatchSeesThatNothingGoesOn(t *testing.T) {
	var w idleWatch
	now := fragmentEpoch
	a := activity{uses: 5, collections: 2}
	require.False(t, w.look(now, 0, a), "the first look knows nothing")
	require.Equal(t, now.Add(bulkIdle), w.at)
	now = w.at
	a.uses++
	require.False(t, w.look(now, 0, a), "a large message passed")
	now = w.at
	a.collections++
	require.False(t, w.look(now, 0, a), "the program collects by itself")
	now = w.at
	require.True(t, w.look(now, time.Minute, a))
	require.Equal(t, now.Add(time.Minute), w.at)
}

// What large messages took goes back to the system within seconds after they have ended, though nobody collects garbage.
func TestMemoryOfLargeMessagesGoesBack(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		provider, caller := c.pair(simnet.Link{})
		require.NoError(t, provider.Register("echo", func(b []byte) []byte { return b }))
		require.NoError(t, caller.WaitFor(context.Background(), "echo", 1))
		echo := caller.Caller("echo")
		_, err := echo.Call(context.Background(), make([]byte, 20<<20))
		require.NoError(t, err)
		bulk.spare.Store(bulkWorth) // however much was in the pools
		held := resident()
		time.Sleep(3 * bulkIdle)
		require.NoError(t, caller.Close()) // waits for what it does in the background
		require.NoError(t, provider.Close())
		require.Less(t, resident(), held-50<<20)
		require.Zero(t, bulk.spare.Load())
	})
}

// resident is how much of the heap the system has not got back.
func resident() int {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapSys - m.HeapReleased)
}
