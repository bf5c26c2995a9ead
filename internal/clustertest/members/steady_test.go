package members

import (
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// shown is what a node says of another.
func shown(t *testing.T, n, other *broach.Node) broach.Member {
	for _, m := range n.Members() {
		if m.Addr == other.Addr() {
			return m
		}
	}
	t.Fatalf("%v does not know %v", n.Addr(), other.Addr())
	return broach.Member{}
}

// [MEM-24] A peer that went offline three times within a minute is unsteady until 30 s have passed since the last time:
// it is called when nobody else is left.
func TestUnsteadyMembersAreCalledLast(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.Net.SetDefault(simnet.Link{Delay: 100 * time.Microsecond})
		c.StartAll(4)
		c.Until(time.Second, "all see all", func() bool { return clustertest.AllSee(c.Nodes, 3) })
		caller, sick, well := c.Nodes[0], c.Nodes[1], c.Nodes[2]
		for i, n := range c.Nodes[1:3] {
			require.NoError(t, n.Register("which", func() int { return 1 + i }))
		}
		var fell time.Time
		for range 3 {
			require.False(t, shown(t, caller, sick).Unsteady)
			c.Net.Cut(clustertest.AddrsOf([]*broach.Node{sick}),
				clustertest.AddrsOf([]*broach.Node{caller, well, c.Nodes[3]}))
			c.Until(3*time.Second, "it is offline",
				func() bool { return shown(t, caller, sick).State == broach.Offline })
			fell = time.Now()
			c.Net.Heal()
			c.Until(3*time.Second, "it is back", func() bool { return shown(t, caller, sick).State == broach.Alive })
		}
		require.True(t, shown(t, caller, sick).Unsteady)
		require.False(t, shown(t, caller, well).Unsteady)
		require.Equal(t, map[int]int{2: 160}, clustertest.Tally(c, caller, 160))
		require.NoError(t, well.Unregister("which"))
		time.Sleep(10 * time.Millisecond)
		require.Equal(t, map[int]int{1: 160}, clustertest.Tally(c, caller, 160), "nobody else is left")

		require.NoError(t, well.Register("which", func() int { return 2 }))
		c.Until(31*time.Second, "it is steady", func() bool { return !shown(t, caller, sick).Unsteady })
		require.InDelta(t, 30*time.Second, time.Since(fell), float64(time.Second))
		require.Len(t, clustertest.Tally(c, caller, 160), 2)
	})
}

// [MEM-24] A process that went offline three times within a minute, each time right after its start, is unsteady as
// well, though each is another.
func TestProcessesThatKeepDyingAreUnsteady(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.StartAll(3)
		c.Until(time.Second, "all see all", func() bool { return clustertest.AllSee(c.Nodes, 2) })
		bystander, sick := c.Nodes[0], c.Nodes[2]
		for i := range 3 {
			require.False(t, shown(t, bystander, sick).Unsteady)
			c.Kill(sick)
			c.Until(3*time.Second, "it is offline",
				func() bool { return shown(t, bystander, sick).State == broach.Offline })
			c.Edit = func(cfg *broach.Config) { cfg.RandSeed = uint64(100 + i) }
			sick = c.Start(2, 0)
			c.Until(3*time.Second, "it is back", func() bool { return shown(t, bystander, sick).State == broach.Alive })
		}
		require.True(t, shown(t, bystander, sick).Unsteady)
	})
}
