package events

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// inShop runs a test on a publisher, node 0, and three instances each of two applications: "stock", nodes 1 to 3, and
// "mail", 4 to 6.
func inShop(t *testing.T, test func(c *clustertest.Cluster, publisher *broach.Node)) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		for i := range 7 {
			c.Edit = func(cfg *broach.Config) { cfg.Name = []string{"shop", "stock", "mail"}[(i+2)/3] }
			c.Start(i, 0)
		}
		c.Settle(2 * time.Second)
		test(c, c.Nodes[0])
	})
}

// heard is when all know of what was subscribed to just now.
func heard() { time.Sleep(time.Second) }

// handled is when all that was published has been handled, and may be looked at.
func handled(after time.Duration) {
	time.Sleep(after)
	synctest.Wait()
}

// inbox is the events that each node got.
type inbox struct {
	mu     sync.Mutex
	byNode map[int][]int
}

// subscribe has a node put events into the inbox.
func (b *inbox) subscribe(c *clustertest.Cluster, i int, opts ...broach.SubscribeOption) *broach.Subscription {
	s, err := c.Nodes[i].Subscribe("sold", func(event int) { b.put(i, event) }, opts...)
	require.NoError(c.T, err)
	return s
}

func (b *inbox) put(i, event int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.byNode == nil {
		b.byNode = make(map[int][]int)
	}
	b.byNode[i] = append(b.byNode[i], event)
}

// take empties the inbox, once all that was published has been handled.
func (b *inbox) take() map[int][]int {
	handled(time.Second)
	b.mu.Lock()
	defer b.mu.Unlock()
	got := b.byNode
	b.byNode = nil
	return got
}

// publish publishes the numbers from first to below end and returns who took them, which must be so many for each.
func publish(t *testing.T, from *broach.Node, first, end, nodes int) (took map[netip.AddrPort]int) {
	t.Helper()
	took = make(map[netip.AddrPort]int)
	for i := first; i < end; i++ {
		d, err := from.Publish(context.Background(), "sold", i)
		require.NoError(t, err)
		require.Len(t, d.Nodes, nodes, "event %d", i)
		require.Empty(t, d.Missed)
		require.IsIncreasing(t, ports(d.Nodes))
		for _, addr := range d.Nodes {
			took[addr]++
		}
	}
	return took
}

// ports makes addresses of addrOf comparable.
func ports(list []netip.AddrPort) (ends []int) {
	for _, a := range list {
		ends = append(ends, int(a.Addr().As4()[3]))
	}
	return ends
}

// requireOnce holds that some nodes have all events together, each once, and in their order.
func requireOnce(t *testing.T, got map[int][]int, nodes []int, events int) {
	t.Helper()
	seen := make([]bool, events)
	for _, i := range nodes {
		last := -1
		for _, e := range got[i] {
			require.Greater(t, e, last, "node %d", i)
			require.False(t, seen[e], "event %d came twice", e)
			last, seen[e] = e, true
		}
	}
	for e := range seen {
		require.True(t, seen[e], "event %d is lost", e)
	}
}

// badTopics are none that an event can have.
func badTopics() []string {
	return []string{"", strings.Repeat("x", 199), "\xff", "a\x00b", "a\nb"}
}
