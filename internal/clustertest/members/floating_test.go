package members

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/race"
	"broach/internal/simnet"

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
	return !slices.ContainsFunc(nodes, func(n *broach.Node) bool { return !isKnown(c, n, nodes) })
}

// isKnown reports that a node and each of some others reach each other, and that they are those processes.
func isKnown(c *clustertest.Cluster, one *broach.Node, nodes []*broach.Node) bool {
	reaches := func(n, other *broach.Node) bool {
		return slices.ContainsFunc(n.Members(), func(m broach.Member) bool {
			return m.Version == c.Configs[other].Version && m.State == broach.Alive && !m.Unreachable
		})
	}
	return !slices.ContainsFunc(nodes, func(n *broach.Node) bool {
		return n != one && !(reaches(n, one) && reaches(one, n))
	})
}

// [LNK-8, MEM-17, MEM-18] So is it while half of the others are behind a cut, which those of its own half took for
// another that left, or for dead: whoever has its address meanwhile and however long, at a loss of 1 %, too.
func TestWhoGetsItsAddressBackDuringACutIsBelievedAgain(t *testing.T) {
	t.Parallel()
	trials := map[int]uint64{32: 4, 100: 1}
	if testing.Short() || race.Sampled {
		trials = map[int]uint64{32: 1}
	}
	for size, seeds := range trials {
		for seed := range seeds {
			t.Run(fmt.Sprint(size, " nodes, seed ", seed), func(t *testing.T) {
				clustertest.Run(t, seed, func(c *clustertest.Cluster) {
					rng := rand.New(rand.NewPCG(seed, 1))
					c.Net.SetDefault(simnet.Link{Loss: 0.01, Delay: 500 * time.Microsecond})
					for i := range size {
						c.StartAt(i, "app", []int{0})
					}
					nodes := c.Nodes
					c.Until(5*time.Second, "all see all", func() bool { return clustertest.AllSee(nodes, size-1) })
					time.Sleep(5 * time.Second) // they have sent each other Beats
					near := cutAround(c, rng, nodes)
					time.Sleep(10 * time.Second) // what was promised for before the cut is over
					for range 12 {
						loseAndGetBack(c, rng, nodes[1], near)
					}
				})
			})
		}
	}
}

// cutAround cuts a cluster in two, and returns the half of node 1.
func cutAround(c *clustertest.Cluster, rng *rand.Rand, nodes []*broach.Node) (near []*broach.Node) {
	var here, there []int
	for i, n := range nodes {
		if i == 1 || rng.IntN(2) == 0 {
			here, near = append(here, i), append(near, n)
		} else {
			there = append(there, i)
		}
	}
	c.Net.Cut(clustertest.AddrsAt(here), clustertest.AddrsAt(there))
	return near
}

// loseAndGetBack has node 1 lose its address for a while, and get it back.
func loseAndGetBack(c *clustertest.Cluster, rng *rand.Rand, n *broach.Node, near []*broach.Node) {
	names := slices.Sorted(maps.Keys(holders))
	name := names[rng.IntN(len(names))]
	lasting := []time.Duration{50, 500, 3000, 8000}[rng.IntN(4)] * time.Millisecond
	conn := c.Configs[n].Conn.(*clustertest.Movable)
	conn.Move(clustertest.HiddenAddr(1))
	giveBack := holders[name](c)
	time.Sleep(lasting)
	giveBack()
	conn.Move(clustertest.AddrOf(1))
	took := c.Until(20*time.Second, "its half believes in it", func() bool {
		time.Sleep(10 * time.Millisecond)
		return isKnown(c, n, near)
	})
	c.T.Logf("held by %s for %v: believed again after %v", name, lasting, took)
	require.LessOrEqual(c.T, took, 2*time.Second)
	time.Sleep(2 * time.Second)
}
