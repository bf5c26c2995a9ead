package members

import (
	"net/netip"
	"sync"
	"testing"
	"time"

	"broach/internal/clustertest"
	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// [LNK-12] Of two that open to each other at once one link is enough: who gets an Offer from an address whose Open it
// has answered within a second, has no link there and has the smaller boot id, makes it only 100 ms later, if the
// other's Confirm has not come by then.
func TestACrowdThatJoinsMakesOneLinkForEachPair(t *testing.T) {
	for name, test := range map[string]struct {
		nodes int
		links simnet.Link
		join  func(c *clustertest.Cluster, nodes int)
	}{
		"by one seed": {60, clustertest.Lossy(0), (*clustertest.Cluster).StartAll},
		// at the same distance, so that all pairs cross
		"each asks all others": {8, simnet.Link{Delay: time.Millisecond}, askAll},
	} {
		t.Run(name, func(t *testing.T) {
			clustertest.Run(t, 1, func(c *clustertest.Cluster) {
				tokens := tokensIn(c)
				c.Net.SetDefault(test.links)
				test.join(c, test.nodes)
				c.Until(time.Second, "all see all", func() bool { return clustertest.AllSee(c.Nodes, test.nodes-1) })
				made, pairs := tokens(), test.nodes*(test.nodes-1)/2
				t.Log(made, "tokens for", pairs, "pairs")
				require.Less(t, made, 2*pairs*11/10, "some may cross so that both go on")
			})
		})
	}
}

// askAll starts nodes that know nobody, and lets each ask all others at once.
func askAll(c *clustertest.Cluster, nodes int) {
	var addrs []string
	for i := range nodes {
		c.Start(i)
		addrs = append(addrs, clustertest.AddrOf(i).String())
	}
	for _, n := range c.Nodes {
		require.NoError(c.T, n.Join(addrs...))
	}
}

// tokensIn counts the tokens of links that are overheard from now on: one for each end of a link that was made there.
func tokensIn(c *clustertest.Cluster) (count func() int) {
	var mu sync.Mutex
	tokens := map[uint64]bool{}
	c.Net.Tap(func(_ time.Time, _, _ netip.AddrPort, b []byte) {
		if token, ok := clustertest.LinkToken(b); ok {
			mu.Lock()
			defer mu.Unlock()
			tokens[token] = true
		}
	})
	return func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(tokens)
	}
}
