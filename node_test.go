package broach

import (
	"context"
	"log/slog"
	"math/bits"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"broach/internal/udp"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// What nobody else may know never comes from RandSeed: a process that starts anew with it, or another with the same,
// has other keys and tokens.
func TestSecretsDoNotComeFromRandSeed(t *testing.T) {
	for _, keys := range [][][]byte{nil, {keyOf(1)}} {
		public, tokens := map[wire.PublicKey]bool{}, map[uint64]bool{}
		for range 3 {
			n, err := Start(Config{LogLevel: "off", RandSeed: 7, Keys: keys})
			require.NoError(t, err)
			public[n.linking.wires.Process.Key], tokens[n.linking.tokens.Open(0)] = true, true
			require.NoError(t, n.Close())
		}
		require.Len(t, public, 3)
		require.Len(t, tokens, 3)
	}
}

// The farewell is sent even where the reader has the link in hand, and may not get to it any more.
func TestTheFarewellIsNotLost(t *testing.T) {
	inPair(t, nil, func(c *cluster, provider, caller *Node) {
		c.until(5*time.Second, "they meet", func() bool { return allSee(c.nodes, 1) })
		for _, l := range provider.linking.tokens.All() {
			l.Lock(time.Now(), 0)
			l.Unlock()
		}
		provider.Close()
		time.Sleep(time.Millisecond)
		require.Equal(c.t, 1, count(caller, Left))
	})
}

// A simulation of a thousand nodes has a million links, and the allocator rounds up: one more field may cost 32 MiB.
func TestALinkIsSmall(t *testing.T) {
	if bits.UintSize != 64 {
		t.Skip("its pointers are smaller here")
	}
	const class = 352 // bytes, one of the allocator's
	require.LessOrEqual(t, unsafe.Sizeof(conn{}), uintptr(class))
}

// ants keeps a pool of its own from import on, whose goroutines are there before any test.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent())
}

// A node that is closed waits for its look-ups, which end at once.
func TestLookUpsEndWithTheNode(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		conn, err := c.net.Listen(addrOf(0))
		require.NoError(t, err)
		cfg := Config{Conn: conn, Join: []string{"dead:7000"}, Logger: slog.New(slog.DiscardHandler)}
		n := newNode(cfg, udp.Over(conn), newJournal(cfg))
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

// [LNK-1] If B has no room for another peer, and no link at that address, rank and token B are 0.
func TestAFullNodeSaysSo(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		c.edit = func(cfg *Config) { cfg.peersMax = 2 }
		full := c.start(0)
		c.edit = func(*Config) {}
		c.start(1, 0)
		mortal := c.start(2, 0)
		c.settle(time.Second)
		late := c.start(3, 1)
		c.until(time.Second, "the others let it in", func() bool { return count(late, Alive) == 2 })
		sent := 0
		c.net.Tap(func(_ time.Time, from, to netip.AddrPort, _ []byte) {
			if from == late.Addr() && to == full.Addr() {
				sent++
			}
		})
		time.Sleep(10 * time.Minute)
		require.Equal(t, 2, count(late, Alive))
		require.Equal(t, 2, count(full, Alive))
		require.LessOrEqual(t, sent, 12, "one Open a minute, as it is named")

		c.kill(mortal)
		took := c.until(3*time.Minute, "there is room", func() bool {
			return full.linkWith(late) != nil && late.linkWith(full) != nil
		})
		t.Log("it is in after", took)
		require.Equal(t, Alive, memberAt(full, late.Addr()).State)
		require.Equal(t, Alive, memberAt(late, full.Addr()).State)
	})
}
