package broach

import (
	"bytes"
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Everything that was ever said, said again to everybody, from where it came and from elsewhere: at once, after the nonces and windows of the
// time are history, and after a restart. No call runs, nobody is believed dead, or alive who is not, and honest calls are answered.
func TestWhatWasRecordedReplaysInVain(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		var mu sync.Mutex
		var recorded []recording
		c.net.Tap(func(_ time.Time, from, to netip.AddrPort, b []byte) {
			mu.Lock()
			defer mu.Unlock()
			recorded = append(recorded, recording{from, to, bytes.Clone(b)})
		})
		var ran atomic.Int64
		offerCount := func(n *Node) { require.NoError(t, n.Register("count", func() int64 { return ran.Add(1) })) }
		c.withKeys(keyOf(1))
		c.startAll(4)
		offerCount(c.nodes[1])
		require.NoError(t, c.nodes[0].WaitFor(context.Background(), "count", 1))
		call := func() {
			before := ran.Load()
			_, err := c.nodes[0].Caller("count").Call(context.Background())
			require.NoError(t, err)
			require.Equal(t, before+1, ran.Load(), "no other call ran")
		}
		c.settle(5 * time.Second)
		call()
		require.NoError(t, c.nodes[3].Close(), "its goodbye is recorded")
		c.nodes = c.nodes[:3]
		time.Sleep(2 * time.Second)
		c.net.Tap(nil)

		throwAll := func() {
			mu.Lock()
			defer mu.Unlock()
			for i, r := range recorded {
				for to := range 3 {
					c.net.Inject(r.from, addrOf(to), r.payload)
					c.net.Inject(strangerAddr, addrOf(to), r.payload)
				}
				if i%50 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
			time.Sleep(time.Second)
			call()
			require.Empty(t, c.wrong())
			for _, n := range c.nodes {
				for _, m := range n.Members() {
					require.Equal(t, m.Addr == addrOf(3), m.State != Alive, "%v is %v", m.Addr, m.State)
				}
			}
		}
		throwAll()
		time.Sleep(10 * time.Minute)
		throwAll()
		c.kill(c.nodes[1])
		edit := c.edit
		c.edit = func(cfg *Config) { edit(cfg); cfg.RandSeed = 77 }
		c.nodes[1] = c.start(1, 0)
		c.nodes = c.nodes[:3]
		offerCount(c.nodes[1])
		c.settle(5 * time.Second)
		require.NoError(t, c.nodes[0].WaitFor(context.Background(), "count", 1))
		time.Sleep(5 * time.Second)
		throwAll()
		t.Logf("%d datagrams, thrown %d times", len(recorded), 18*len(recorded))
	})
}
