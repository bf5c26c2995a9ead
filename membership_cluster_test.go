package broach

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Register and Unregister reach everybody, whenever they happen.
func TestFunctionsComeAndGo(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		c.startAll(5)
		c.until(time.Second, "all see all", func() bool { return allSee(c.nodes, 4) })
		provider := c.nodes[3]
		require.NoError(t, provider.Register("late", func() int { return 7 }))
		knows := func() bool {
			for _, n := range c.nodes {
				if n != provider && len(n.calling.view.Load().routes.get("late").candidates()) != 1 {
					return false
				}
			}
			return true
		}
		t.Log("known to all after", c.until(time.Second, "all know", knows))
		require.NoError(t, provider.Unregister("late"))
		t.Log("forgotten by all after", c.until(time.Second, "none knows", func() bool {
			for _, n := range c.nodes {
				if n.calling.view.Load().routes.get("late") != nil {
					return false
				}
			}
			return true
		}))
	})
}
