package broach

import (
	"time"

	"broach/internal/simnet"
)

// pair starts a provider and a caller that knows it, then makes the network between them bad.
func (c *cluster) pair(link simnet.Link) (provider, caller *Node) {
	provider, caller = c.start(0), c.start(1, 0)
	c.until(time.Second, "both see the other", func() bool { return allSee(c.nodes, 1) })
	c.net.SetDefault(link)
	return provider, caller
}
