package broach

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"broach/internal/simnet"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// All that nodes do they do with keys, too: find each other, call, move large messages, notice the dead.
func TestNodesWithKeysDoAllThatOthersDo(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		c.withKeys(keyOf(1))
		c.startAll(4)
		c.settle(5 * time.Second)
		require.NoError(t, c.nodes[1].Register("echo", func(b []byte) []byte { return b }))
		require.NoError(t, c.nodes[0].WaitFor(context.Background(), "echo", 1))
		for _, size := range []int{0, 1000, 1 << 20} {
			sent := bytes.Repeat([]byte{7}, size)
			got, err := Call[[]byte](context.Background(), c.nodes[0].Caller("echo"), sent)
			require.NoError(t, err)
			require.True(t, bytes.Equal(sent, got))
		}
		c.kill(c.nodes[3])
		time.Sleep(2 * time.Second)
		require.Equal(t, Offline, memberAt(c.nodes[0], addrOf(3)).State)
		require.Zero(t, c.nodes[0].Stats().Unopened)
	})
}

// [SEAL-1] A process that has keys MUST drop a datagram whose key id is 0 or none of theirs, or whose proof or tag none
// of its keys with that id makes; one without keys MUST drop a datagram with a key id. Neither is answered; they are
// counted.
func TestWhoHasNotTheKeyIsNobody(t *testing.T) {
	for name, keys := range map[string][2][][]byte{
		"another key":         {{keyOf(1)}, {keyOf(2)}},
		"no key":              {{keyOf(1)}, nil},
		"a key for the first": {nil, {keyOf(1)}},
		"the same key id":     {{keyOf(1)}, {sameID(t, keyOf(1))}},
	} {
		t.Run(name, func(t *testing.T) {
			var log sharedLog
			inCluster(t, 1, func(c *cluster) {
				c.edit = func(cfg *Config) { cfg.Keys, cfg.Logger = keys[0], slog.New(slog.NewTextHandler(&log, nil)) }
				in := c.start(0)
				c.withKeys(keys[1]...)
				out := c.start(1, 0)
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

// [SEAL-4] All keys open, so that keys can be changed without a cut.
func TestKeysAreChangedUnderLoad(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		c.withKeys(keyOf(1))
		c.startAll(5)
		c.settle(5 * time.Second)
		for _, n := range c.nodes[1:] {
			require.NoError(t, n.Register("add", func(x, y int) int { return x + y }))
		}
		require.NoError(t, c.nodes[0].WaitFor(context.Background(), "add", 4))
		calls := 0
		callFor := func(d time.Duration) {
			for until := time.Now().Add(d); time.Now().Before(until); calls++ {
				sum, err := Call[int](context.Background(), c.nodes[0].Caller("add"), 1, calls)
				require.NoError(t, err)
				require.Equal(t, 1+calls, sum)
			}
		}
		for _, keys := range [][][]byte{{keyOf(1), keyOf(2)}, {keyOf(2), keyOf(1)}, {keyOf(2)}} {
			for _, n := range c.nodes {
				require.NoError(t, n.SetKeys(keys))
				callFor(200 * time.Millisecond)
			}
		}
		require.Empty(t, c.wrong())
		for _, n := range c.nodes {
			require.Zero(t, n.Stats().Unopened)
		}
		t.Logf("%d calls, none failed", calls)
		require.Greater(t, calls, 1000)
		c.withKeys(keyOf(2))
		c.start(5, 0)
		c.settle(5 * time.Second)
	})
}

func TestSetKeysRefusesWhatCannotBe(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		open := c.start(0)
		require.ErrorIs(t, open.SetKeys([][]byte{keyOf(1)}), ErrInvalidArgument, "it was started without")
		c.withKeys(keyOf(1))
		closed := c.start(1)
		wrong := [][][]byte{nil, {}, {keyOf(1), keyOf(1)}, {keyOf(1)[:31]}, {make([]byte, 33)}, {make([]byte, 32)}, manyKeys(9)}
		for _, keys := range wrong {
			require.ErrorIs(t, closed.SetKeys(keys), ErrInvalidArgument)
		}
		require.NoError(t, closed.SetKeys(manyKeys(8)))
		require.NoError(t, closed.Close())
		require.ErrorIs(t, closed.SetKeys([][]byte{keyOf(1)}), ErrClosed)
	})
}

func manyKeys(n int) (keys [][]byte) {
	for i := range n {
		keys = append(keys, keyOf(byte(i)))
	}
	return keys
}

// [SEC-4] No two datagrams are sealed under one key and number: not even where links end and are made anew, and many
// send at once, with loss and all. And nothing of what is said can be read.
func TestNoNumberIsUsedTwiceAndNothingIsReadable(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		seen, tokens := map[string]bool{}, map[string]bool{}
		var mu sync.Mutex
		c.net.Tap(func(_ time.Time, _, _ netip.AddrPort, b []byte) {
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
		c.net.SetDefault(simnet.Link{Loss: 0.05})
		c.edit = func(cfg *Config) {
			cfg.Keys = [][]byte{keyOf(1)}
			makeDeaf(cfg)
		}
		c.startAll(3)
		c.settle(10 * time.Second)
		require.NoError(t, c.nodes[1].Register("echo", func(s string) string { return s }))
		require.NoError(t, c.nodes[0].WaitFor(context.Background(), "echo", 1))
		for range 3 {
			var calls sync.WaitGroup
			for range 50 {
				calls.Go(func() {
					_, err := Call[string](context.Background(), c.nodes[0].Caller("echo"), strings.Repeat("Sesame", 500))
					require.NoError(t, err)
				})
			}
			calls.Wait()
			c.renew(c.nodes[0], c.nodes[1])
			c.net.Cut([]netip.AddrPort{addrOf(0)}, []netip.AddrPort{addrOf(1), addrOf(2)})
			time.Sleep(5 * time.Second)
			require.NoError(t, c.nodes[0].Forget(addrOf(1)), "its links end")
			c.net.Heal()
			c.settle(10 * time.Second)
			require.NoError(t, c.nodes[0].WaitFor(context.Background(), "echo", 1))
		}
		mu.Lock()
		defer mu.Unlock()
		t.Logf("%d datagrams on %d links", len(seen), len(tokens)/2)
		require.Greater(t, len(tokens), 15, "links were made anew")
	})
}

func TestAnOpenNodeIsToldSoOnce(t *testing.T) {
	for _, test := range []struct {
		addr, advertise string
		keys            [][]byte
		lines           int
	}{
		{addr: "10.0.0.1:7000", lines: 1},
		{addr: "10.0.0.1:7000", keys: [][]byte{keyOf(1)}},
		{addr: "127.0.0.1:7000"},
		{addr: "10.0.0.1:7000", advertise: "127.0.0.1:7000", lines: 1}, // it is reached all the same
		{addr: "127.0.0.1:7000", advertise: "10.0.0.1:7000", lines: 1}, // somebody brings datagrams here
	} {
		inCluster(t, 1, func(c *cluster) {
			var log sharedLog
			conn, err := c.net.Listen(netip.MustParseAddrPort(test.addr))
			require.NoError(t, err)
			handler := slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError})
			n, err := Start(Config{Conn: conn, Advertise: test.advertise, Keys: test.keys, Logger: slog.New(handler)})
			require.NoError(t, err)
			n.Close()
			require.Equal(t, test.lines, strings.Count(log.String(), "there are no keys"), log.String())
		})
	}
}
