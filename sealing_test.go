package broach

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"broach/internal/simnet"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

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
