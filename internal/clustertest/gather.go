package clustertest

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"broach"
	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// Pair starts a provider and a caller that knows it, then makes the network between them bad.
func (c *Cluster) Pair(link simnet.Link) (provider, caller *broach.Node) {
	provider, caller = c.Start(0), c.Start(1, 0)
	c.Until(time.Second, "both see the other", func() bool { return AllSee(c.Nodes, 1) })
	c.Net.SetDefault(link)
	return provider, caller
}

// Lossy is the network of these tests, with a loss.
func Lossy(loss float64) simnet.Link {
	return simnet.Link{Loss: loss, Delay: 300 * time.Microsecond, Jitter: 200 * time.Microsecond}
}

// Gather lets nodes come together, and waits until they are at rest. What happens then meets another phase of the
// heartbeats with each seed.
func (c *Cluster) Gather(seed uint64, nodes int, loss float64) {
	c.Edit = func(cfg *broach.Config) { cfg.RandSeed += seed << 20 }
	c.Net.SetDefault(Lossy(loss))
	c.StartAll(nodes)
	c.Settle(10 * time.Second)
	time.Sleep(3*time.Second + time.Duration(seed*211%1000)*time.Millisecond)
}

// Live are the nodes that were not closed.
func (c *Cluster) Live() []*broach.Node {
	return slices.DeleteFunc(slices.Clone(c.Nodes), IsClosed)
}

// Settle waits until nothing is wrong with any view, and returns how long that took.
func (c *Cluster) Settle(limit time.Duration) time.Duration {
	c.T.Helper()
	start := time.Now()
	for {
		wrong := c.Wrong()
		if len(wrong) == 0 {
			return time.Since(start)
		}
		require.Less(c.T, time.Since(start), limit, "%v", wrong)
		time.Sleep(time.Millisecond)
	}
}

// Wrong says what is wrong with the first view that is: everybody must see exactly those who live, reach them, have
// nobody twice, and say of the others what all say.
func (c *Cluster) Wrong() (list []string) {
	living, dead := map[netip.AddrPort]*broach.Node{}, map[netip.AddrPort]broach.State{}
	for _, n := range c.Live() {
		living[n.Addr()] = n
	}
	for _, n := range living {
		if list = c.wrongAt(n, living, dead); len(list) > 0 {
			break
		}
	}
	return list
}

// wrongAt is what is wrong with the view of one node. The first to say something of a dead address is right.
func (c *Cluster) wrongAt(
	n *broach.Node, living map[netip.AddrPort]*broach.Node, dead map[netip.AddrPort]broach.State,
) (list []string) {
	seen := map[netip.AddrPort]bool{n.Addr(): true}
	for _, m := range n.Members() {
		other, lives := living[m.Addr]
		said, known := dead[m.Addr]
		switch {
		case m.Self:
			continue
		case seen[m.Addr]:
			list = append(list, fmt.Sprintf("%v has %v twice", n.Addr(), m.Addr))
		case lives && (m.Version != c.Configs[other].Version || m.State != broach.Alive || m.Unreachable):
			list = append(list, fmt.Sprintf("%v says that %v is %v", n.Addr(), m.Addr, m.State))
		case !lives && (m.State == broach.Alive || m.State == broach.Suspect || known && m.State != said):
			list = append(list, fmt.Sprintf("%v says that %v, which is dead, is %v", n.Addr(), m.Addr, m.State))
		case !lives:
			dead[m.Addr] = m.State
			continue
		}
		seen[m.Addr] = true
	}
	if len(seen) < len(living) {
		list = append(list, fmt.Sprintf("%v sees %d of %d", n.Addr(), len(seen), len(living)))
	}
	return list
}

// AllSay is whether each live node holds another to be in a state, but for those that cannot know. It looks first at
// the node that did not the last time: a cluster is asked often, and mostly in vain.
func (c *Cluster) AllSay(of *broach.Node, s broach.State, but ...*broach.Node) (do func() bool) {
	says := func(n *broach.Node) bool {
		return slices.ContainsFunc(n.Members(), func(m broach.Member) bool {
			return !m.Self && m.Version == c.Configs[of].Version && m.State == s
		})
	}
	var last *broach.Node
	return func() bool {
		if last != nil && !IsClosed(last) && !says(last) {
			return false
		}
		for _, n := range c.Live() {
			if n != of && !slices.Contains(but, n) && !says(n) {
				last = n
				return false
			}
		}
		return true
	}
}

// Callable reports whether every live node would call a function at one node.
func (c *Cluster) Callable(function string, at *broach.Node) bool {
	return !slices.ContainsFunc(c.Live(), func(n *broach.Node) bool {
		return n != at && !slices.ContainsFunc(n.Services(), func(s broach.Service) bool {
			return s.Name == function && slices.Contains(s.Providers, at.Addr())
		})
	})
}

// Stop stops a node as SIGSTOP does: it reads nothing, and what writes waits, its loop first of all. Goroutines that
// are in the middle of a call go on.
func (c *Cluster) Stop(n *broach.Node) (goOn func()) {
	c.Net.Pause(n.Addr())
	return func() { c.Net.Resume(n.Addr()) }
}

// Isolate cuts a node off from all others, there and back.
func (c *Cluster) Isolate(n *broach.Node) (undo func()) {
	set := func(loss float64) {
		for _, other := range c.Nodes {
			c.Net.SetLink(n.Addr(), other.Addr(), Lossy(loss))
			c.Net.SetLink(other.Addr(), n.Addr(), Lossy(loss))
		}
	}
	set(1)
	return func() { set(0) }
}

// AddrsAt are the addresses of nodes by their numbers.
func AddrsAt(nodes []int) (list []netip.AddrPort) {
	for _, i := range nodes {
		list = append(list, AddrOf(i))
	}
	return list
}

// StartWith starts node i with a configuration of its own.
func (c *Cluster) StartWith(i int, edit func(*broach.Config), join ...int) *broach.Node {
	before := c.Edit
	defer func() { c.Edit = before }()
	c.Edit = func(cfg *broach.Config) {
		before(cfg)
		edit(cfg)
	}
	return c.Start(i, join...)
}
