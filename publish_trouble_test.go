package broach

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// [EVT-4] None is lost when the process leaves.
func TestLeaveHandlesWhatItHasTaken(t *testing.T) {
	inShop(t, func(c *cluster, publisher *Node) {
		var times [3000]atomic.Int32
		for i := 1; i < 4; i++ {
			_, err := c.nodes[i].Subscribe("sold", func(e int) { time.Sleep(3 * time.Millisecond); times[e].Add(1) })
			require.NoError(t, err)
		}
		heard()
		left := make(chan error, 2)
		for e := range times {
			if e == 1000 || e == 2000 {
				go func() { left <- c.nodes[e/1000].Leave(context.Background()) }()
			}
			time.Sleep(time.Millisecond)
			d, err := publisher.Publish(context.Background(), "sold", e)
			require.NoError(t, err)
			require.Len(t, d.Nodes, 1)
		}
		require.NoError(t, <-left)
		require.NoError(t, <-left)
		require.Error(t, c.nodes[1].serving.provider.ctx.Err())
		time.Sleep(10 * time.Second)
		for e := range times {
			require.EqualValues(t, 1, times[e].Load(), "event %d", e)
		}
	})
}
