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

	"broach/internal/seal"
	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// keyOf is a key for tests.
func keyOf(b byte) []byte { return append(bytes.Repeat([]byte{b}, seal.KeySize-1), ^b) }

// withKeys gives the nodes that start from now on these keys.
func (c *cluster) withKeys(keys ...[]byte) {
	c.edit = func(cfg *Config) { cfg.Keys = keys }
}

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

// [SEAL-1] A process that has keys MUST drop a datagram that is not sealed, or that none of its keys opens; one without keys MUST
// drop a datagram that is sealed. Neither is answered; they are counted.
func TestWhoHasNotTheKeyIsNobody(t *testing.T) {
	for name, keys := range map[string][2][][]byte{
		"another key":         {{keyOf(1)}, {keyOf(2)}},
		"no key":              {{keyOf(1)}, nil},
		"a key for the first": {nil, {keyOf(1)}},
		"the same key id":     {{sameID(t, 1)}, {sameID(t, 2)}},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
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

// sameID returns the i-th of several keys with one key id.
func sameID(t *testing.T, i int) []byte {
	for n, found := 0, 0; n < 1<<16; n++ {
		key := append(keyOf(9)[:30], byte(n>>8), byte(n))
		ring, err := seal.NewRing([][]byte{key})
		require.NoError(t, err)
		if ring.Sealer(1, 2).KeyID() == 77 {
			if found++; found == i {
				return key
			}
		}
	}
	t.Fatal("no such keys")
	return nil
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

// [SEAL-3] No number may be used twice between the same sender and receiver: not even where links end and are made anew, and many send at
// once, with loss and all. And nothing of what is said can be read.
func TestNoNonceIsUsedTwiceAndNothingIsReadable(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		seen := map[string]bool{}
		var mu sync.Mutex
		c.net.Tap(func(_ time.Time, _, _ netip.AddrPort, b []byte) {
			mu.Lock()
			defer mu.Unlock()
			if nonce := string(b[16:40]); seen[nonce] {
				t.Errorf("a number twice from %x to %x: %x", b[16:24], b[24:32], b[32:40])
			} else {
				seen[nonce] = true
			}
			require.NotContains(t, string(b), "Sesame")
			require.NotContains(t, string(b), "echo")
		})
		c.net.SetDefault(simnet.Link{Loss: 0.05, Duplicate: 0})
		c.withKeys(keyOf(1))
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
			c.net.Cut([]netip.AddrPort{addrOf(0)}, []netip.AddrPort{addrOf(1), addrOf(2)})
			time.Sleep(5 * time.Second)
			require.NoError(t, c.nodes[0].Forget(addrOf(1)), "its link ends")
			c.net.Heal()
			c.settle(10 * time.Second)
			require.NoError(t, c.nodes[0].WaitFor(context.Background(), "echo", 1))
		}
		mu.Lock()
		defer mu.Unlock()
		t.Logf("%d datagrams", len(seen))
	})
}

// [SEAL-2] A datagram is opened before anything in it, or anything of its header but version, cluster and sender, has an effect. So
// whoever changes a bit of what was recorded, or cuts it short, changes nothing, whoever he says it is from.
func TestChangedDatagramsHaveNoEffect(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		var recorded [][]byte
		var mu sync.Mutex
		recording := true
		c.net.Tap(func(_ time.Time, _, to netip.AddrPort, b []byte) {
			mu.Lock()
			defer mu.Unlock()
			if recording && to == addrOf(0) {
				recorded = append(recorded, bytes.Clone(b))
			}
		})
		c.withKeys(keyOf(1))
		c.startAll(3)
		c.settle(5 * time.Second)
		victim, other := c.nodes[0], c.nodes[1]
		require.NoError(t, victim.Register("count", func() int { return 1 }))
		require.NoError(t, other.WaitFor(context.Background(), "count", 1))
		for range 3 {
			_, err := other.Caller("count").Call(context.Background())
			require.NoError(t, err)
		}
		other.Close()
		time.Sleep(time.Second)
		mu.Lock()
		recording = false
		mu.Unlock()
		before, members := victim.Stats(), victim.Members()
		injected := uint64(0)
		for _, b := range recorded {
			for bit := range len(b) * 8 {
				if at := bit / 8; at < 3 && at != 2 || at >= 8 && at < 16 || len(b) > 200 && bit%61 != 0 {
					continue // magic, version and cluster are other tests' business, and Joins are long
				}
				changed := bytes.Clone(b)
				changed[bit/8] ^= 1 << (bit % 8)
				c.net.Inject(addrOf(9), addrOf(0), changed)
				injected++
			}
			for n := 40; n < len(b); n += 1 + len(b)/50 {
				c.net.Inject(addrOf(9), addrOf(0), b[:n])
				injected++
			}
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Second)
		after := victim.Stats()
		t.Logf("%d datagrams recorded, %d made of them", len(recorded), injected)
		require.Equal(t, before.Unopened+injected, after.Unopened)
		require.Equal(t, before.Done, after.Done, "no call ran")
		require.Equal(t, before.Misdirected, after.Misdirected)
		require.Equal(t, before.Malformed, after.Malformed)
		require.Len(t, victim.Members(), len(members))
		require.Equal(t, Left, memberAt(victim, addrOf(1)).State)
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
			var log bytes.Buffer
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

// Who is told of in the log is bounded, and a flood from many addresses costs no more for it.
func TestFewStrangersAreToldOf(t *testing.T) {
	var s strangers
	now, told := time.Unix(0, 0), 0
	from := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 5, byte(i >> 8), byte(i)}), 9)
	}
	for range 2 {
		for i := range 10_000 {
			if s.isNew(now, from(i)) {
				told++
			}
		}
	}
	require.Equal(t, strangersMax, told)
	require.Len(t, s.told, strangersMax)
	now = now.Add(strangersEvery)
	require.True(t, s.isNew(now, from(9999)))
	require.False(t, s.isNew(now, from(9999)))
}
