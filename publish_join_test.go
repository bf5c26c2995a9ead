package broach

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A node that has just started and is still joining waits for that, until it is a second old, to know who has
// subscribed.
func TestAnEventOfTheFirstMillisecondsReachesThoseWhoAreThere(t *testing.T) {
	for later := time.Duration(0); later <= 4*time.Millisecond; later += 250 * time.Microsecond {
		inCluster(t, 1, func(c *cluster) {
			c.startAll(2)
			for _, n := range c.nodes {
				_, err := n.Subscribe("sold", func(int) {}, EachInstance())
				require.NoError(t, err)
			}
			c.settle(time.Second)
			n := c.start(2, 0)
			_, err := n.Subscribe("sold", func(int) {})
			require.NoError(t, err)
			time.Sleep(later)
			d, err := n.Publish(context.Background(), "sold", 3)
			require.NoError(t, err)
			require.Equal(t, addrsOf(c.nodes), d.Nodes, "%v after it began", later)
		})
	}
}

// With an empty Delivery, the error says why nothing was sent: [...] NotFound, if the node has not joined its cluster
// and knows of nobody.
func TestAnEventThatANodeWithoutClusterPublishesIsAnError(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		n := c.start(1, 0)
		start := time.Now()
		d, err := n.Publish(context.Background(), "sold", 3)
		require.Equal(t, joinWait, time.Since(start))
		require.ErrorIs(t, err, ErrNotFound)
		require.ErrorContains(t, err, "has not joined its cluster")
		require.Empty(t, d)

		_, err = n.Subscribe("sold", func(int) {})
		require.NoError(t, err)
		d, err = n.Publish(context.Background(), "sold", 3)
		require.NoError(t, err)
		require.Equal(t, addrsOf(c.nodes), d.Nodes, "it is there itself")

		require.Equal(t, joinWait, time.Since(start), "later ones do not wait")
	})
}

// That waiting ends with its ctx, and with the node.
func TestAnEventThatWaitsEndsWithItsContextAndTheNode(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		n := c.start(1, 0)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		_, err := n.Publish(ctx, "sold", 3)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		go c.kill(n)
		_, err = n.Publish(context.Background(), "sold", 3)
		require.ErrorIs(t, err, ErrClosed)
	})
}
