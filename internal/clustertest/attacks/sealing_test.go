package attacks

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/simnet"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// All that nodes do they do with keys, too: find each other, call, move large messages, notice the dead.
func TestNodesWithKeysDoAllThatOthersDo(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.WithKeys(clustertest.KeyOf(1))
		c.StartAll(4)
		c.Settle(5 * time.Second)
		require.NoError(t, c.Nodes[1].Register("echo", func(b []byte) []byte { return b }))
		require.NoError(t, c.Nodes[0].WaitFor(context.Background(), "echo", 1))
		for _, size := range []int{0, 1000, 1 << 20} {
			sent := bytes.Repeat([]byte{7}, size)
			got, err := broach.Call[[]byte](context.Background(), c.Nodes[0].Caller("echo"), sent)
			require.NoError(t, err)
			require.True(t, bytes.Equal(sent, got))
		}
		c.Kill(c.Nodes[3])
		time.Sleep(2 * time.Second)
		require.Equal(t, broach.Offline, clustertest.MemberAt(c.Nodes[0], clustertest.AddrOf(3)).State)
		require.Zero(t, c.Nodes[0].Stats().Unopened)
	})
}

// [SEAL-1] A process that has keys MUST drop a datagram whose key id is 0 or none of theirs, or whose proof or tag none
// of its keys with that id makes; one without keys MUST drop a datagram with a key id. Neither is answered; they are
// counted.
func TestWhoHasNotTheKeyIsNobody(t *testing.T) {
	for name, keys := range map[string][2][][]byte{
		"another key":         {{clustertest.KeyOf(1)}, {clustertest.KeyOf(2)}},
		"no key":              {{clustertest.KeyOf(1)}, nil},
		"a key for the first": {nil, {clustertest.KeyOf(1)}},
		"the same key id":     {{clustertest.KeyOf(1)}, {clustertest.SameID(t, clustertest.KeyOf(1))}},
	} {
		t.Run(name, func(t *testing.T) {
			var log clustertest.SharedLog
			clustertest.Run(t, 1, func(c *clustertest.Cluster) {
				c.Edit = func(cfg *broach.Config) {
					cfg.Keys, cfg.Logger = keys[0],
						slog.New(slog.NewTextHandler(&log, nil))
				}
				in := c.Start(0)
				c.WithKeys(keys[1]...)
				out := c.Start(1, 0)
				time.Sleep(30 * time.Second)
				require.Len(t, in.Members(), 1)
				require.Len(t, out.Members(), 1)
				require.NotZero(t, in.Stats().Unopened)
				require.Zero(t, in.Stats().DatagramsOut)
				require.Equal(t, 1, strings.Count(log.String(), "no key of this node opens"), log.String())
			})
		})
	}
}

// [SEC-4] No two datagrams are sealed under one key and number: not even where links end and are made anew, and many
// send at once, with loss and all. And nothing of what is said can be read.
func TestNoNumberIsUsedTwiceAndNothingIsReadable(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		seen, tokens := map[string]bool{}, map[string]bool{}
		var mu sync.Mutex
		c.Net.Tap(func(_ time.Time, _, _ netip.AddrPort, b []byte) {
			mu.Lock()
			defer mu.Unlock()
			require.NotContains(t, string(b), "Sesame")
			require.NotContains(t, string(b), "echo")
			if form := wire.Form(b[3]); form == wire.FormOpen || form == wire.FormOffer {
				return
			}
			tokens[string(b[8:16])] = true // whose links have no key in common
			if nonce := string(b[8:24]); seen[nonce] {
				t.Errorf("a number twice on the link to %x: %x", b[8:16], b[16:24])
			} else {
				seen[nonce] = true
			}
		})
		c.Net.SetDefault(simnet.Link{Loss: 0.05})
		c.Edit = func(cfg *broach.Config) {
			cfg.Keys = [][]byte{clustertest.KeyOf(1)}
			clustertest.MakeDeaf(cfg)
		}
		c.StartAll(3)
		c.Settle(10 * time.Second)
		require.NoError(t, c.Nodes[1].Register("echo", func(s string) string { return s }))
		require.NoError(t, c.Nodes[0].WaitFor(context.Background(), "echo", 1))
		for range 3 {
			var calls sync.WaitGroup
			for range 50 {
				calls.Go(func() {
					_, err := broach.Call[string](context.Background(), c.Nodes[0].Caller("echo"),
						strings.Repeat("Sesame", 500))
					require.NoError(t, err)
				})
			}
			calls.Wait()
			c.Renew(c.Nodes[0], c.Nodes[1])
			c.Net.Cut([]netip.AddrPort{clustertest.AddrOf(0)},
				[]netip.AddrPort{clustertest.AddrOf(1), clustertest.AddrOf(2)})
			time.Sleep(5 * time.Second)
			require.NoError(t, c.Nodes[0].Forget(clustertest.AddrOf(1)), "its links end")
			c.Net.Heal()
			c.Settle(10 * time.Second)
			require.NoError(t, c.Nodes[0].WaitFor(context.Background(), "echo", 1))
		}
		mu.Lock()
		defer mu.Unlock()
		t.Logf("%d datagrams on %d links", len(seen), len(tokens)/2)
		require.Greater(t, len(tokens), 15, "links were made anew")
	})
}

// [SEAL-4] All keys open, so that keys can be changed without a cut.
func TestKeysAreChangedUnderLoad(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.WithKeys(clustertest.KeyOf(1))
		c.StartAll(5)
		c.Settle(5 * time.Second)
		for _, n := range c.Nodes[1:] {
			require.NoError(t, n.Register("add", func(x, y int) int { return x + y }))
		}
		require.NoError(t, c.Nodes[0].WaitFor(context.Background(), "add", 4))
		calls := 0
		callFor := func(d time.Duration) {
			for until := time.Now().Add(d); time.Now().Before(until); calls++ {
				sum, err := broach.Call[int](context.Background(), c.Nodes[0].Caller("add"), 1, calls)
				require.NoError(t, err)
				require.Equal(t, 1+calls, sum)
			}
		}
		for _, keys := range [][][]byte{
			{clustertest.KeyOf(1), clustertest.KeyOf(2)}, {clustertest.KeyOf(2), clustertest.KeyOf(1)},
			{clustertest.KeyOf(2)},
		} {
			for _, n := range c.Nodes {
				require.NoError(t, n.SetKeys(keys))
				callFor(200 * time.Millisecond)
			}
		}
		require.Empty(t, c.Wrong())
		for _, n := range c.Nodes {
			require.Zero(t, n.Stats().Unopened)
		}
		t.Logf("%d calls, none failed", calls)
		require.Greater(t, calls, 1000)
		c.WithKeys(clustertest.KeyOf(2))
		c.Start(5, 0)
		c.Settle(5 * time.Second)
	})
}

func TestSetKeysRefusesWhatCannotBe(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		open := c.Start(0)
		require.ErrorIs(t, open.SetKeys([][]byte{clustertest.KeyOf(1)}), broach.ErrInvalidArgument,
			"it was started without")
		c.WithKeys(clustertest.KeyOf(1))
		closed := c.Start(1)
		wrong := [][][]byte{nil, {}, {clustertest.KeyOf(1), clustertest.KeyOf(1)}, {clustertest.KeyOf(1)[:31]},
			{make([]byte, 33)}, {make([]byte, 32)}, manyKeys(9)}
		for _, keys := range wrong {
			require.ErrorIs(t, closed.SetKeys(keys), broach.ErrInvalidArgument)
		}
		require.NoError(t, closed.SetKeys(manyKeys(8)))
		require.NoError(t, closed.Close())
		require.ErrorIs(t, closed.SetKeys([][]byte{clustertest.KeyOf(1)}), broach.ErrClosed)
	})
}

func manyKeys(n int) (keys [][]byte) {
	for i := range n {
		keys = append(keys, clustertest.KeyOf(byte(i)))
	}
	return keys
}

func TestAnOpenNodeIsToldSoOnce(t *testing.T) {
	for _, test := range []struct {
		addr, advertise string
		keys            [][]byte
		lines           int
	}{
		{addr: "10.0.0.1:7000", lines: 1},
		{addr: "10.0.0.1:7000", keys: [][]byte{clustertest.KeyOf(1)}},
		{addr: "127.0.0.1:7000"},
		{addr: "10.0.0.1:7000", advertise: "127.0.0.1:7000", lines: 1}, // it is reached all the same
		{addr: "127.0.0.1:7000", advertise: "10.0.0.1:7000", lines: 1}, // somebody brings datagrams here
	} {
		clustertest.Run(t, 1, func(c *clustertest.Cluster) {
			var log clustertest.SharedLog
			conn, err := c.Net.Listen(netip.MustParseAddrPort(test.addr))
			require.NoError(t, err)
			handler := slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError})
			n, err := broach.Start(broach.Config{Conn: conn, Advertise: test.advertise, Keys: test.keys,
				Logger: slog.New(handler)})
			require.NoError(t, err)
			n.Close()
			require.Equal(t, test.lines, strings.Count(log.String(), "there are no keys"), log.String())
		})
	}
}
