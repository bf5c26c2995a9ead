package broach

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// [LNK-1] If B has no room for another peer, and no link at that address, rank and token B are 0.
func TestAFullNodeSaysSo(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		full := c.start(0)
		c.start(1, 0)
		c.settle(time.Second)
		require.NoError(t, full.do(func(time.Time) { full.members.cfg.maxPeers = 1 }))
		late := c.start(2, 1)
		c.until(time.Second, "the other one lets it in", func() bool { return count(late, Alive) == 1 })
		sent := 0
		c.net.Tap(func(_ time.Time, from, to netip.AddrPort, _ []byte) {
			if from == late.Addr() && to == full.Addr() {
				sent++
			}
		})
		time.Sleep(10 * time.Minute)
		require.Equal(t, 1, count(late, Alive))
		require.Equal(t, 1, count(full, Alive))
		require.LessOrEqual(t, sent, 12, "one Open a minute, as it is named")

		require.NoError(t, full.do(func(time.Time) { full.members.cfg.maxPeers = 2 }))
		c.until(3*time.Minute, "there is room", func() bool { return count(late, Alive) == 2 && count(full, Alive) == 2 })
	})
}
