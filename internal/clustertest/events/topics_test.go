package events

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// Who waits for subscribers publishes to them, however soon.
func TestAnEventAfterTheWaitReachesTheSubscribers(t *testing.T) {
	inShop(t, func(c *clustertest.Cluster, publisher *broach.Node) {
		var box inbox
		for i, opts := range [][]broach.SubscribeOption{nil, {broach.EachInstance()}, {broach.OneAnywhere()}} {
			box.subscribe(c, i+1, opts...)
			box.subscribe(c, i+1, opts...) // the same node
			require.NoError(t, publisher.WaitForSubscribers(context.Background(), "sold", i+1))
			d, err := publisher.Publish(context.Background(), "sold", i)
			require.NoError(t, err)
			require.Len(t, d.Nodes, i+1)
		}
		box.subscribe(c, 0)
		require.NoError(t, publisher.WaitForSubscribers(context.Background(), "sold", 4), "this node is one of them")
	})
}

func TestWaitsForSubscribersEnd(t *testing.T) {
	inShop(t, func(c *clustertest.Cluster, publisher *broach.Node) {
		var box inbox
		s := box.subscribe(c, 1)
		wait := func(nodes int) error {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			return publisher.WaitForSubscribers(ctx, "sold", nodes)
		}
		require.NoError(t, wait(1))
		also := box.subscribe(c, 1, broach.EachInstance()) // one node nevertheless
		heard()
		err := wait(2)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, `WaitForSubscribers "sold": 1 of 2 nodes`)
		require.NoError(t, s.Close())
		require.NoError(t, also.Close())
		heard()
		require.ErrorIs(t, wait(1), context.DeadlineExceeded, "it is none any more")
		for _, topic := range badTopics() {
			require.ErrorIs(t, publisher.WaitForSubscribers(context.Background(), topic, 1), broach.ErrInvalidArgument)
		}
		require.NoError(t, publisher.Close())
		require.ErrorIs(t, wait(2), broach.ErrClosed)
	})
}

func TestTopicsAreListedWithTheirSubscribers(t *testing.T) {
	inShop(t, func(c *clustertest.Cluster, publisher *broach.Node) {
		require.Empty(t, publisher.Topics())
		var box inbox
		for _, i := range []int{0, 1, 2, 4} {
			box.subscribe(c, i)
		}
		box.subscribe(c, 3, broach.EachInstance())
		box.subscribe(c, 0, broach.OneAnywhere())
		s, err := c.Nodes[5].Subscribe("bought", func(int) {}, broach.EachInstance())
		require.NoError(t, err)
		heard()
		at := func(list ...int) (addrs []netip.AddrPort) {
			for _, i := range list {
				addrs = append(addrs, clustertest.AddrOf(i))
			}
			return addrs
		}
		want := []broach.Topic{
			{Name: "bought", Each: at(5)},
			{Name: "sold", Each: at(3), Anywhere: at(0),
				Groups: map[string][]netip.AddrPort{"shop": at(0), "stock": at(1, 2), "mail": at(4)}},
		}
		for i, n := range c.Nodes {
			require.Equal(t, want, n.Topics(), "node %d", i)
			require.Empty(t, n.Services(), "a topic is no function")
		}
		require.NoError(t, s.Close())
		heard()
		for i, n := range c.Nodes {
			require.Equal(t, want[1:], n.Topics(), "node %d", i)
		}
	})
}
