package broach

import (
	"testing"
	"time"

	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// shown is what a node says of another.
func shown(t *testing.T, n, other *Node) Member {
	for _, m := range n.Members() {
		if m.Addr == other.addr {
			return m
		}
	}
	t.Fatalf("%v does not know %v", n.addr, other.addr)
	return Member{}
}

// [MEM-24] A peer that went offline three times within a minute is unsteady until 30 s have passed since the last time:
// it is called when nobody else is left.
func TestUnsteadyMembersAreCalledLast(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		c.net.SetDefault(simnet.Link{Delay: 100 * time.Microsecond})
		c.startAll(4)
		c.until(time.Second, "all see all", func() bool { return allSee(c.nodes, 3) })
		caller, sick, well := c.nodes[0], c.nodes[1], c.nodes[2]
		for i, n := range c.nodes[1:3] {
			require.NoError(t, n.Register("which", func() int { return 1 + i }))
		}
		var fell time.Time
		for range 3 {
			require.False(t, shown(t, caller, sick).Unsteady)
			c.net.Cut(addrsOf([]*Node{sick}), addrsOf([]*Node{caller, well, c.nodes[3]}))
			c.until(3*time.Second, "it is offline", func() bool { return shown(t, caller, sick).State == Offline })
			fell = time.Now()
			c.net.Heal()
			c.until(3*time.Second, "it is back", func() bool { return shown(t, caller, sick).State == Alive })
		}
		require.True(t, shown(t, caller, sick).Unsteady)
		require.False(t, shown(t, caller, well).Unsteady)
		require.Equal(t, map[int]int{2: 160}, tally(c, caller, 160))
		require.NoError(t, well.Unregister("which"))
		time.Sleep(10 * time.Millisecond)
		require.Equal(t, map[int]int{1: 160}, tally(c, caller, 160), "nobody else is left")

		require.NoError(t, well.Register("which", func() int { return 2 }))
		c.until(31*time.Second, "it is steady", func() bool { return !shown(t, caller, sick).Unsteady })
		require.InDelta(t, 30*time.Second, time.Since(fell), float64(time.Second))
		require.Len(t, tally(c, caller, 160), 2)
	})
}

// [MEM-24] A process that went offline three times within a minute, each time right after its start, is unsteady as
// well, though each is another.
func TestProcessesThatKeepDyingAreUnsteady(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		c.startAll(3)
		c.until(time.Second, "all see all", func() bool { return allSee(c.nodes, 2) })
		bystander, sick := c.nodes[0], c.nodes[2]
		for i := range 3 {
			require.False(t, shown(t, bystander, sick).Unsteady)
			c.kill(sick)
			c.until(3*time.Second, "it is offline", func() bool { return shown(t, bystander, sick).State == Offline })
			c.edit = func(cfg *Config) { cfg.RandSeed = uint64(100 + i) }
			sick = c.start(2, 0)
			c.until(3*time.Second, "it is back", func() bool { return shown(t, bystander, sick).State == Alive })
		}
		require.True(t, shown(t, bystander, sick).Unsteady)
	})
}
