package broach

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/stretchr/testify/require"
)

// live are the nodes that were not closed.
func (c *cluster) live() []*Node {
	return slices.DeleteFunc(slices.Clone(c.nodes), (*Node).isClosed)
}

// settle waits until nothing is wrong with any view, and returns how long that took.
func (c *cluster) settle(limit time.Duration) time.Duration {
	c.t.Helper()
	start := time.Now()
	for {
		wrong := c.wrong()
		if len(wrong) == 0 {
			return time.Since(start)
		}
		require.Less(c.t, time.Since(start), limit, "%v", wrong)
		time.Sleep(time.Millisecond)
	}
}

// wrong says what is wrong with the first view that is: everybody must see exactly those who live, reach them, have
// nobody twice, and say of the others what all say.
func (c *cluster) wrong() (list []string) {
	living, dead := map[netip.AddrPort]*Node{}, map[netip.AddrPort]State{}
	for _, n := range c.live() {
		living[n.Addr()] = n
	}
	for _, n := range living {
		if list = n.wrong(living, dead); len(list) > 0 {
			break
		}
	}
	return list
}

// wrong is what is wrong with the view of one node. The first to say something of a dead address is right.
func (n *Node) wrong(living map[netip.AddrPort]*Node, dead map[netip.AddrPort]State) (list []string) {
	seen := map[netip.AddrPort]bool{n.Addr(): true}
	for _, p := range n.calling.view.Load().peers {
		other, lives := living[p.Addr]
		said, known := dead[p.Addr]
		switch {
		case seen[p.Addr]:
			list = append(list, fmt.Sprintf("%v has %v twice", n.Addr(), p.Addr))
		case lives && (p.Boot != other.linking.wires.Process.Boot || State(p.State) != Alive || p.Unreachable):
			list = append(list, fmt.Sprintf("%v says that %v is %v", n.Addr(), p.Addr, p.State))
		case !lives && (State(p.State) == Alive || State(p.State) == Suspect || known && State(p.State) != said):
			list = append(list, fmt.Sprintf("%v says that %v, which is dead, is %v", n.Addr(), p.Addr, p.State))
		case !lives:
			dead[p.Addr] = State(p.State)
			continue
		}
		seen[p.Addr] = true
	}
	if len(seen) < len(living) {
		list = append(list, fmt.Sprintf("%v sees %d of %d", n.Addr(), len(seen), len(living)))
	}
	return list
}
