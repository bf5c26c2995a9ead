package events

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/race"
	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// [EVT-1] An event is one Send for each letter `a`, each application name under `g`, and for `o`, to a process that
// announces the name
func TestOneInstanceOfEachApplicationGetsAnEvent(t *testing.T) {
	inShop(t, func(c *clustertest.Cluster, publisher *broach.Node) {
		var box inbox
		for i := 1; i < 7; i++ {
			box.subscribe(c, i)
		}
		heard()
		took := publish(t, publisher, 0, 1000, 2)
		got := box.take()
		requireOnce(t, got, []int{1, 2, 3}, 1000)
		requireOnce(t, got, []int{4, 5, 6}, 1000)
		for i := 1; i < 7; i++ {
			require.Equal(t, took[clustertest.AddrOf(i)], len(got[i]), "the Delivery tells the truth")
			require.InDelta(t, 1000.0/3, len(got[i]), 0.2*1000/3)
		}
		t.Logf("shares: %d %d %d, %d %d %d", len(got[1]), len(got[2]), len(got[3]), len(got[4]), len(got[5]),
			len(got[6]))
	})
}

func TestEachInstanceGetsAnEvent(t *testing.T) {
	inShop(t, func(c *clustertest.Cluster, publisher *broach.Node) {
		var box inbox
		for i := range 7 {
			box.subscribe(c, i, broach.EachInstance())
		}
		heard()
		publish(t, publisher, 0, 100, 7)
		got := box.take()
		for i := range 7 {
			requireOnce(t, got, []int{i}, 100)
		}
	})
}

func TestOneAnywhereGetsAnEvent(t *testing.T) {
	inShop(t, func(c *clustertest.Cluster, publisher *broach.Node) {
		var box inbox
		for i := range 7 {
			box.subscribe(c, i, broach.OneAnywhere())
		}
		heard()
		publish(t, publisher, 0, 1400, 1)
		got := box.take()
		requireOnce(t, got, []int{0, 1, 2, 3, 4, 5, 6}, 1400)
		for i := range 7 {
			require.InDelta(t, 200, len(got[i]), 50, "node %d", i)
		}
	})
}

// All three at once, and the publisher among the instances of an application.
func TestThePublisherIsASubscriberLikeAnyOther(t *testing.T) {
	inShop(t, func(c *clustertest.Cluster, _ *broach.Node) {
		var group, each inbox
		for i := 1; i < 4; i++ {
			group.subscribe(c, i)
			each.subscribe(c, i, broach.EachInstance())
		}
		heard()
		for e := range 900 {
			d, err := c.Nodes[1].Publish(context.Background(), "sold", e)
			require.NoError(t, err)
			require.Equal(t, []int{2, 3, 4}, ports(d.Nodes), "once, whatever it took it for")
		}
		got := group.take()
		requireOnce(t, got, []int{1, 2, 3}, 900)
		for i := 1; i < 4; i++ {
			require.InDelta(t, 300, len(got[i]), 60)
		}
		for i := 1; i < 4; i++ {
			requireOnce(t, each.byNode, []int{i}, 900)
		}
	})
}

func TestNoSubscriberIsNoError(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		alone := c.Start(0)
		start := time.Now()
		d, err := alone.Publish(context.Background(), "sold", 1)
		require.NoError(t, err)
		require.Equal(t, broach.Delivery{}, d)
		require.Zero(t, time.Since(start), "nobody is waited for")

		var box inbox
		closed := box.subscribe(c, 0, broach.OneAnywhere())
		box.subscribe(c, 0)
		box.subscribe(c, 0, broach.EachInstance())
		require.NoError(t, closed.Close())
		d, err = alone.Publish(context.Background(), "sold", 2)
		require.NoError(t, err)
		require.Equal(t, broach.Delivery{Nodes: []netip.AddrPort{clustertest.AddrOf(0)}}, d)
		require.Equal(t, map[int][]int{0: {2, 2}}, box.take())
	})
}

func TestWhatCannotBePublished(t *testing.T) {
	clustertest.InPair(t, nil, func(c *clustertest.Cluster, _, publisher *broach.Node) {
		publish := func(ctx context.Context, topic string, payload any) error {
			d, err := publisher.Publish(ctx, topic, payload)
			require.Equal(t, broach.Delivery{}, d)
			return err
		}
		ctx, cancel := context.WithCancel(context.Background())
		for _, topic := range badTopics() {
			clustertest.RequireError(t, publish(ctx, topic, 1), broach.InvalidArgument, broach.No)
		}
		for _, payload := range []any{
			make(chan int), func() {}, map[string]any{"x": math.Sqrt}, struct{ C complex128 }{},
			&bytes.Buffer{}, []any{errors.New("lost")},
		} {
			e := clustertest.RequireError(t, publish(ctx, "sold", payload), broach.InvalidArgument, broach.No)
			require.Equal(t, "sold", e.Service)
		}
		clustertest.RequireError(t, publish(ctx, "sold", make([]byte, 1<<20)), broach.TooLarge, broach.No)
		cancel()
		clustertest.RequireError(t, publish(ctx, "sold", 1), broach.Canceled, broach.No)
		require.NoError(t, publisher.Close())
		clustertest.RequireError(t, publish(context.Background(), "sold", 1), broach.Closed, broach.No)
	}, func(cfg *broach.Config) { cfg.MaxMessage = 1 << 20 })
}

// Any payload that an argument can be arrives, in a datagram or as a transfer, here and elsewhere.
func TestPayloads(t *testing.T) {
	type order struct {
		ID    int
		Items map[string]int
		Photo []byte
	}
	clustertest.InPair(t, nil, func(c *clustertest.Cluster, subscriber, publisher *broach.Node) {
		var got []order
		var mu sync.Mutex
		for _, n := range c.Nodes {
			_, err := n.Subscribe("order", func(o *order) { mu.Lock(); got = append(got, *o); mu.Unlock() },
				broach.EachInstance())
			require.NoError(t, err)
		}
		heard()
		for _, size := range []int{1, 1 << 20} {
			sent := order{7, map[string]int{"milk": 2}, make([]byte, size)}
			d, err := publisher.Publish(context.Background(), "order", sent)
			require.NoError(t, err)
			require.Len(t, d.Nodes, 2)
			handled(time.Second)
			require.Equal(t, []order{sent, sent}, got)
			got = nil
		}
	})
}

// The subscriber learns who published an event, and its metadata travel on.
func TestEventsTellWhoPublishedThem(t *testing.T) {
	clustertest.InPair(t, nil, func(c *clustertest.Cluster, subscriber, publisher *broach.Node) {
		got := make(chan broach.Invocation, 2)
		note := func(ctx context.Context, _ int) {
			i, _ := broach.InvocationFrom(ctx)
			got <- i
		}
		_, err := subscriber.Subscribe("sold", note)
		require.NoError(t, err)
		require.NoError(t, subscriber.Register("sell", func(ctx context.Context) error {
			_, err := subscriber.Publish(ctx, "sold", 1)
			return err
		}))
		require.NoError(t, publisher.WaitFor(context.Background(), "sell", 1))
		_, err = publisher.Publish(context.Background(), "sold", 1)
		require.NoError(t, err)
		event := <-got
		require.Equal(t, []any{"sold", publisher.Addr()}, []any{event.Service, event.From})
		require.Empty(t, event.Meta())
		_, err = publisher.Caller("sell", broach.Meta("traceparent", "00-1")).Call(context.Background())
		require.NoError(t, err)
		event = <-got
		require.Equal(t, []any{"sold", subscriber.Addr()}, []any{event.Service, event.From})
		require.Equal(t, map[string]string{"traceparent": "00-1"}, event.Meta())
	})
}

// An event that nobody answers is given up when ctx ends, or after Config.CallTimeout.
func TestPublishEndsWithItsContext(t *testing.T) {
	clustertest.InPair(t, nil, func(c *clustertest.Cluster, subscriber, publisher *broach.Node) {
		_, err := subscriber.Subscribe("sold", func(int) {})
		require.NoError(t, err)
		heard()
		for _, limit := range []time.Duration{100 * time.Millisecond, time.Hour} {
			c.Net.SetDefault(simnet.Link{Loss: 1})
			ctx, cancel := context.Background(), func() {}
			if limit < time.Hour {
				ctx, cancel = context.WithTimeout(ctx, limit)
			}
			start := time.Now()
			d, err := publisher.Publish(ctx, "sold", 1)
			cancel()
			clustertest.RequireError(t, err, broach.DeadlineExceeded, broach.Maybe)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, []error{err.(interface{ Unwrap() []error }).Unwrap()[0]}, d.Missed)
			require.InDelta(t, min(limit, 300*time.Millisecond), time.Since(start), float64(5*time.Millisecond))
			c.Net.SetDefault(simnet.Link{})
			c.Until(3*time.Second, "it is heard again", func() bool {
				d, err := publisher.Publish(context.Background(), "sold", 1)
				return err == nil && len(d.Nodes) == 1
			})
		}
	}, func(cfg *broach.Config) { cfg.CallTimeout = 300 * time.Millisecond })
}

// Many publish at once: nothing is lost, and nothing comes twice.
func TestManyPublishAtOnce(t *testing.T) {
	inShop(t, func(c *clustertest.Cluster, _ *broach.Node) {
		var times [7 * 200]atomic.Int32
		for i := range 7 {
			_, err := c.Nodes[i].Subscribe("sold", func(e int) { times[e].Add(1) })
			require.NoError(t, err)
		}
		heard()
		var all sync.WaitGroup
		for e := range times {
			all.Go(func() {
				d, err := c.Nodes[e%7].Publish(context.Background(), "sold", e)
				if err != nil || len(d.Nodes) != 3 {
					t.Error(fmt.Sprint(e), d, err)
				}
			})
		}
		all.Wait()
		time.Sleep(time.Second)
		for e := range times {
			require.EqualValues(t, 3, times[e].Load(), "event %d", e)
		}
	})
}

// An event without subscribers costs little, as most topics have none in most places.
func TestPublishToNobodyAllocatesLittle(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	node, err := broach.Start(broach.Config{LogLevel: "off"})
	require.NoError(t, err)
	defer node.Close()
	allocs := testing.AllocsPerRun(100, func() { _, _ = node.Publish(context.Background(), "sold", 7) })
	require.LessOrEqual(t, allocs, 12.0)
	t.Log(allocs, "allocations")
}
