package broach

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// A table that finds no room is counted, and the operator is told once what to do.
func TestTablesWithoutRoomAreTold(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		var log lockedBuffer
		c.edit = func(cfg *Config) {
			cfg.Logger, cfg.Heartbeat.Margin = slog.New(slog.NewTextHandler(&log, nil)), time.Hour
		}
		full := c.start(0)
		c.edit = func(*Config) {}
		provider := c.start(1)
		leave := fillUp(t, full)
		registerMost(t, provider)
		require.NoError(t, full.Join(provider.Addr().String()))
		time.Sleep(30 * time.Second)
		require.NoError(t, provider.Unregister("f"))
		require.NoError(t, provider.Register("g", func() {}))
		time.Sleep(10 * time.Second)
		require.EqualValues(t, 1, full.Stats().TablesRefused)
		require.Equal(t, 1, strings.Count(log.String(), "too large"))
		require.Equal(t, Alive, memberAt(full, provider.Addr()).State)
		_, err := full.Caller("f").Call(context.Background())
		require.ErrorIs(t, err, ErrNotFound)
		leave()
		time.Sleep(time.Minute) // [TAB-9] it is pulled again after a minute
		_, err = full.Caller("g").Call(context.Background())
		require.NoError(t, err)
	})
}

// fillUp has a node believe in 20 peers with as large tables as there are: together they take all the rows that one
// holds, [TAB-9]. No other table that is as large finds room until they leave. The node must not miss their beats.
func fillUp(t require.TestingT, n *Node) (leave func()) {
	table := wire.AppendTable(nil, tableOf(0, wire.MaxFunctions))
	var peers []*conn
	require.NoError(t, n.do(func(now time.Time) {
		for i := range 20 {
			peers = append(peers, n.seat(now, i, table))
		}
	}))
	return func() {
		require.NoError(t, n.do(func(now time.Time) {
			for _, l := range peers {
				n.says(now, l, 1, wire.Leave{})
			}
		}))
	}
}

// registerMost registers as many functions as there can be, among them f: of a node that others know, its table might
// be told before it is that large.
func registerMost(t require.TestingT, n *Node) {
	require.NoError(t, n.Register("f", func() {}))
	for i := range wire.MaxFunctions - 1 {
		require.NoError(t, n.Register(fmt.Sprintf("function%05d", i), func() {}))
	}
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
		c.start(1, 0)
		c.settle(time.Second)
		require.NoError(t, n.do(func(now time.Time) {
			p := n.calling.view.Load().peers[0]
			n.loop.members.Pulled(now, p.Process, p.Tver+1, []byte("no table"), true)
		}))
		time.Sleep(time.Second)
		require.EqualValues(t, 1, n.Stats().TablesRefused)
		require.Contains(t, log.String(), "cannot be read")
	})
}
