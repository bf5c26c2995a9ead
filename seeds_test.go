package broach

import (
	"context"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"broach/internal/udp"

	"github.com/stretchr/testify/require"
)

// A node that is closed waits for its look-ups, which end at once.
func TestLookUpsEndWithTheNode(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		conn, err := c.net.Listen(addrOf(0))
		require.NoError(t, err)
		cfg := Config{Conn: conn, Join: []string{"dead:7000"}, Logger: slog.New(slog.DiscardHandler)}
		n := newNode(cfg, udp.Over(conn), newLogQueue(cfg))
		var waiting atomic.Int64
		n.loop.seeds.lookUp = func(ctx context.Context, _, _ string) ([]netip.Addr, error) {
			waiting.Add(1)
			defer waiting.Add(-1)
			<-ctx.Done()
			return nil, ctx.Err()
		}
		n.serve()
		c.nodes = append(c.nodes, n)
		synctest.Wait()
		require.Equal(t, int64(2), waiting.Load())
		start := time.Now()
		require.NoError(t, n.Close())
		require.Zero(t, waiting.Load())
		require.Zero(t, time.Since(start))
	})
}
