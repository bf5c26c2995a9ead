package events

import (
	"context"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// A node that has just started and is still joining waits for that, until it is a second old, to know who has
// subscribed.
func TestAnEventOfTheFirstMillisecondsReachesThoseWhoAreThere(t *testing.T) {
	for later := time.Duration(0); later <= 4*time.Millisecond; later += 250 * time.Microsecond {
		clustertest.Run(t, 1, func(c *clustertest.Cluster) {
			c.StartAll(2)
			for _, n := range c.Nodes {
				_, err := n.Subscribe("sold", func(int) {}, broach.EachInstance())
				require.NoError(t, err)
			}
			c.Settle(time.Second)
			n := c.Start(2, 0)
			_, err := n.Subscribe("sold", func(int) {})
			require.NoError(t, err)
			time.Sleep(later)
			d, err := n.Publish(context.Background(), "sold", 3)
			require.NoError(t, err)
			require.Equal(t, clustertest.AddrsOf(c.Nodes), d.Nodes, "%v after it began", later)
		})
	}
}

// With an empty Delivery, the error says why nothing was sent: [...] NotFound, if the node has not joined its cluster
// and knows of nobody.
func TestAnEventThatANodeWithoutClusterPublishesIsAnError(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		n := c.Start(1, 0)
		start := time.Now()
		d, err := n.Publish(context.Background(), "sold", 3)
		require.Equal(t, time.Second, time.Since(start))
		require.ErrorIs(t, err, broach.ErrNotFound)
		require.ErrorContains(t, err, "has not joined its cluster")
		require.Empty(t, d)

		_, err = n.Subscribe("sold", func(int) {})
		require.NoError(t, err)
		d, err = n.Publish(context.Background(), "sold", 3)
		require.NoError(t, err)
		require.Equal(t, clustertest.AddrsOf(c.Nodes), d.Nodes, "it is there itself")

		require.Equal(t, time.Second, time.Since(start), "later ones do not wait")
	})
}

// That waiting ends with its ctx, and with the node.
func TestAnEventThatWaitsEndsWithItsContextAndTheNode(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		n := c.Start(1, 0)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		_, err := n.Publish(ctx, "sold", 3)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		go c.Kill(n)
		_, err = n.Publish(context.Background(), "sold", 3)
		require.ErrorIs(t, err, broach.ErrClosed)
	})
}
