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
