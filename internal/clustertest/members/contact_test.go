package members

import (
	"net/netip"
	"sync"
	"testing"
	"time"

	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// [LNK-12] Of two that open to each other at once one link is enough: who gets an Offer from an address whose Open it
// has answered within a second, has no link there and has the smaller boot id, makes it only 100 ms later, if the
// other's Confirm has not come by then.
func TestACrowdThatJoinsMakesOneLinkForEachPair(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		const nodes = 60
		var mu sync.Mutex
		tokens := map[uint64]bool{} // one for each end of a link that was made there
		c.Net.Tap(func(_ time.Time, _, _ netip.AddrPort, b []byte) {
			if token, ok := clustertest.LinkToken(b); ok {
				mu.Lock()
				defer mu.Unlock()
				tokens[token] = true
			}
		})
		c.Net.SetDefault(clustertest.Lossy(0))
		c.StartAll(nodes)
		c.Until(time.Second, "all see all", func() bool { return clustertest.AllSee(c.Nodes, nodes-1) })
		mu.Lock()
		defer mu.Unlock()
		t.Log(len(tokens), "of", nodes*(nodes-1))
		require.Less(t, len(tokens), nodes*(nodes-1)*11/10, "some may cross so that both go on")
	})
}
