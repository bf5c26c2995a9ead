package broach

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// [LNK-12] Of two that open to each other at once one link is enough: who gets an Offer from an address whose Open it
// has answered within a second, has no link there and has the smaller boot id, makes it only 100 ms later, if the
// other's Confirm has not come by then.
func TestACrowdThatJoinsMakesOneLinkForEachPair(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		const nodes = 60
		c.net.SetDefault(lossy(0))
		c.startAll(nodes)
		c.until(time.Second, "all see all", func() bool { return allSee(c.nodes, nodes-1) })
		links := 0
		for _, n := range c.nodes {
			links += len(n.linking.tokens.All())
		}
		require.Less(t, links, nodes*(nodes-1)*11/10, "some may cross so that both go on")
	})
}
