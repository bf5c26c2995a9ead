package members

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/race"

	"github.com/stretchr/testify/require"
)

// holders are who may have an address for a while that belongs to node 1.
var holders = map[string]func(c *clustertest.Cluster) (giveBack func()){
	"nobody": func(*clustertest.Cluster) func() { return func() {} },
	"another, which is killed": func(c *clustertest.Cluster) func() {
		n := c.StartAt(1, "another", []int{0})
		return func() { c.Kill(n) }
	},
	"another, which closes": func(c *clustertest.Cluster) func() {
		n := c.StartAt(1, "another", []int{0})
		return func() { require.NoError(c.T, n.Close()) }
	},
	"another, which leaves": func(c *clustertest.Cluster) func() {
		n := c.StartAt(1, "another", []int{0})
		return func() { require.NoError(c.T, n.Leave(context.Background())) }
	},
	"another, which lives on": func(c *clustertest.Cluster) func() {
		n := c.StartAt(1, "another", []int{0})
		return func() { c.Configs[n].Conn.(*clustertest.Movable).Move(clustertest.HiddenAddr(100 + len(c.Nodes))) }
	},
	"one that knows nobody": func(c *clustertest.Cluster) func() {
		n := c.StartAt(1, "another", nil)
		return func() { c.Kill(n) }
	},
	"two, one after the other": func(c *clustertest.Cluster) func() {
		first := c.StartAt(1, "another", []int{0})
		time.Sleep(100 * time.Millisecond)
		c.Kill(first)
		second := c.StartAt(1, "a third", []int{0})
		return func() { c.Kill(second) }
	},
}

// [LNK-10] One that was replaced, or has left, and proves itself anew is believed again: A, B, A at one address.
func TestWhoGetsItsAddressBackIsBelievedAgain(t *testing.T) {
	t.Parallel()
	sizes := []int{3, 32}
	if race.Sampled {
		sizes = []int{3}
	}
	for _, size := range sizes {
		for name, hold := range holders {
			for _, lasting := range []time.Duration{
				50 * time.Millisecond, 500 * time.Millisecond, 3 * time.Second, 80 * time.Second,
			} {
				t.Run(fmt.Sprint(size, " nodes, held by ", name, " for ", lasting), func(t *testing.T) {
					clustertest.Run(t, 1, func(c *clustertest.Cluster) {
						for i := range size {
							c.StartAt(i, "app", []int{0})
						}
						nodes := c.Nodes
						c.Until(2*time.Second, "all see all", func() bool { return clustertest.AllSee(nodes, size-1) })
						time.Sleep(5 * time.Second)
						for range 2 {
							c.Configs[nodes[1]].Conn.(*clustertest.Movable).Move(clustertest.HiddenAddr(1))
							giveBack := hold(c)
							time.Sleep(lasting)
							giveBack()
							c.Configs[nodes[1]].Conn.(*clustertest.Movable).Move(clustertest.AddrOf(1))
							took := c.Until(20*time.Second, "all believe in the first",
								func() bool { return allKnow(c, nodes) })
							t.Log("believed again after", took)
							require.LessOrEqual(t, took, 2*time.Second)
						}
					})
				})
			}
		}
	}
}

// allKnow reports that each of some nodes reaches all others, and that they are those processes.
func allKnow(c *clustertest.Cluster, nodes []*broach.Node) bool {
	for _, n := range nodes {
		for _, other := range nodes {
			reaches := func(m broach.Member) bool {
				return m.Version == c.Configs[other].Version && m.State == broach.Alive && !m.Unreachable
			}
			if n != other && !slices.ContainsFunc(n.Members(), reaches) {
				return false
			}
		}
	}
	return true
}
