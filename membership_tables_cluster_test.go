package broach

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A table that finds no room is counted, and the operator is told once what to do.
func TestTablesWithoutRoomAreTold(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		var log lockedBuffer
		c.edit = func(cfg *Config) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) }
		full := c.start(0)
		c.edit = func(*Config) {}
		provider := c.start(1, 0)
		c.settle(time.Second)
		held := func(rows int) {
			require.NoError(t, full.do(func(time.Time) { full.members.held.rows += rows }))
		}
		held(rowsMax)
		require.NoError(t, provider.Register("f", func() {}))
		time.Sleep(30 * time.Second)
		require.NoError(t, provider.Register("g", func() {}))
		time.Sleep(10 * time.Second)
		require.EqualValues(t, 1, full.Stats().TablesRefused)
		require.Equal(t, 1, strings.Count(log.String(), "too large"))
		require.Equal(t, 1, count(full, Alive))
		_, err := full.Caller("f").Call(context.Background())
		require.ErrorIs(t, err, ErrNotFound)
		held(-rowsMax)
		time.Sleep(time.Minute) // [TAB-9] it is pulled again after a minute
		_, err = full.Caller("g").Call(context.Background())
		require.NoError(t, err)
	})
}

// lockedBuffer takes the lines of a log.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Tables that cannot be read are counted, and the operator is told.
func TestTablesThatCannotBeReadAreTold(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		var log lockedBuffer
		c.edit = func(cfg *Config) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) }
		n := c.start(0)
		c.edit = func(*Config) {}
		other := c.start(1, 0)
		c.settle(time.Second)
		require.NoError(t, n.do(func(now time.Time) {
			p := n.members.peers.byAddr[other.Addr()]
			n.members.takeTable(now, p, p.tver+1, []byte("no table"))
		}))
		time.Sleep(time.Second)
		require.EqualValues(t, 1, n.Stats().TablesRefused)
		require.Contains(t, log.String(), "cannot be read")
	})
}
