package broach

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"broach/internal/member"
	"broach/internal/race"

	"github.com/stretchr/testify/require"
)

// holders are who may have an address for a while that belongs to node 1.
var holders = map[string]func(c *cluster) (giveBack func()){
	"nobody": func(*cluster) func() { return func() {} },
	"another, which is killed": func(c *cluster) func() {
		n := c.startAt(1, "another", []int{0})
		return func() { c.kill(n) }
	},
	"another, which closes": func(c *cluster) func() {
		n := c.startAt(1, "another", []int{0})
		return func() { require.NoError(c.t, n.Close()) }
	},
	"another, which leaves": func(c *cluster) func() {
		n := c.startAt(1, "another", []int{0})
		return func() { require.NoError(c.t, n.Leave(context.Background())) }
	},
	"another, which lives on": func(c *cluster) func() {
		n := c.startAt(1, "another", []int{0})
		return func() { n.cfg.Conn.(*movable).move(hiddenAddr(100 + len(c.nodes))) }
	},
	"one that knows nobody": func(c *cluster) func() {
		n := c.startAt(1, "another", nil)
		return func() { c.kill(n) }
	},
	"two, one after the other": func(c *cluster) func() {
		first := c.startAt(1, "another", []int{0})
		time.Sleep(100 * time.Millisecond)
		c.kill(first)
		second := c.startAt(1, "a third", []int{0})
		return func() { c.kill(second) }
	},
}

// [LNK-10] One that was replaced, or has left, and proves itself anew is believed again: A, B, A at one address.
func TestWhoGetsItsAddressBackIsBelievedAgain(t *testing.T) {
	t.Parallel()
	sizes := []int{3, 32}
	if race.Enabled {
		sizes = []int{3}
	}
	for _, size := range sizes {
		for name, hold := range holders {
			for _, lasting := range []time.Duration{50 * time.Millisecond, 500 * time.Millisecond, 3 * time.Second, 80 * time.Second} {
				t.Run(fmt.Sprint(size, " nodes, held by ", name, " for ", lasting), func(t *testing.T) {
					inCluster(t, 1, func(c *cluster) {
						for i := range size {
							c.startAt(i, "app", []int{0})
						}
						nodes := c.nodes
						c.until(2*time.Second, "all see all", func() bool { return allSee(nodes, size-1) })
						time.Sleep(5 * time.Second)
						for range 2 {
							nodes[1].cfg.Conn.(*movable).move(hiddenAddr(1))
							giveBack := hold(c)
							time.Sleep(lasting)
							giveBack()
							nodes[1].cfg.Conn.(*movable).move(addrOf(1))
							took := c.until(20*time.Second, "all believe in the first", func() bool { return allKnow(nodes) })
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
func allKnow(nodes []*Node) bool {
	for _, n := range nodes {
		for _, other := range nodes {
			reaches := func(p *member.View) bool {
				return p.Boot == other.linking.wires.Process.Boot && State(p.State) == Alive && !p.Unreachable
			}
			if n != other && !slices.ContainsFunc(n.calling.view.Load().peers, reaches) {
				return false
			}
		}
	}
	return true
}
