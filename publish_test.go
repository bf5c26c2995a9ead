package broach

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broach/internal/race"
	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// [EVT-1] An event is one Send for each letter `a`, each application name under `g`, and for `o`, to a process that
// announces the name
func TestOneInstanceOfEachApplicationGetsAnEvent(t *testing.T) {
	inShop(t, func(c *cluster, publisher *Node) {
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
			require.Equal(t, took[addrOf(i)], len(got[i]), "the Delivery tells the truth")
			require.InDelta(t, 1000.0/3, len(got[i]), 0.2*1000/3)
		}
		t.Logf("shares: %d %d %d, %d %d %d", len(got[1]), len(got[2]), len(got[3]), len(got[4]), len(got[5]), len(got[6]))
	})
}

func TestEachInstanceGetsAnEvent(t *testing.T) {
	inShop(t, func(c *cluster, publisher *Node) {
		var box inbox
		for i := range 7 {
			box.subscribe(c, i, EachInstance())
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
	inShop(t, func(c *cluster, publisher *Node) {
		var box inbox
		for i := range 7 {
			box.subscribe(c, i, OneAnywhere())
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
	inShop(t, func(c *cluster, _ *Node) {
		var group, each inbox
		for i := 1; i < 4; i++ {
			group.subscribe(c, i)
			each.subscribe(c, i, EachInstance())
		}
		heard()
		for e := range 900 {
			d, err := c.nodes[1].Publish(context.Background(), "sold", e)
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
	inCluster(t, 1, func(c *cluster) {
		alone := c.start(0)
		start := time.Now()
		d, err := alone.Publish(context.Background(), "sold", 1)
		require.NoError(t, err)
		require.Equal(t, Delivery{}, d)
		require.Zero(t, time.Since(start), "nobody is waited for")

		var box inbox
		closed := box.subscribe(c, 0, OneAnywhere())
		box.subscribe(c, 0)
		box.subscribe(c, 0, EachInstance())
		require.NoError(t, closed.Close())
		d, err = alone.Publish(context.Background(), "sold", 2)
		require.NoError(t, err)
		require.Equal(t, Delivery{Nodes: []netip.AddrPort{addrOf(0)}}, d)
		require.Equal(t, map[int][]int{0: {2, 2}}, box.take())
	})
}

func TestWhatCannotBePublished(t *testing.T) {
	inPair(t, nil, func(c *cluster, _, publisher *Node) {
		publish := func(ctx context.Context, topic string, payload any) error {
			d, err := publisher.Publish(ctx, topic, payload)
			require.Equal(t, Delivery{}, d)
			return err
		}
		ctx, cancel := context.WithCancel(context.Background())
		for _, topic := range badTopics() {
			requireError(t, publish(ctx, topic, 1), InvalidArgument, No)
		}
		for _, payload := range []any{make(chan int), func() {}, map[string]any{"x": math.Sqrt}, struct{ C complex128 }{}} {
			e := requireError(t, publish(ctx, "sold", payload), InvalidArgument, No)
			require.Equal(t, "sold", e.Service)
		}
		requireError(t, publish(ctx, "sold", make([]byte, 1<<20)), TooLarge, No)
		cancel()
		requireError(t, publish(ctx, "sold", 1), Canceled, No)
		require.NoError(t, publisher.Close())
		requireError(t, publish(context.Background(), "sold", 1), Closed, No)
	}, func(cfg *Config) { cfg.MaxMessage = 1 << 20 })
}

// Any payload that an argument can be arrives, in a datagram or as a transfer, here and elsewhere.
func TestPayloads(t *testing.T) {
	type order struct {
		ID    int
		Items map[string]int
		Photo []byte
	}
	inPair(t, nil, func(c *cluster, subscriber, publisher *Node) {
		var got []order
		var mu sync.Mutex
		for _, n := range c.nodes {
			_, err := n.Subscribe("order", func(o *order) { mu.Lock(); got = append(got, *o); mu.Unlock() }, EachInstance())
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
	inPair(t, nil, func(c *cluster, subscriber, publisher *Node) {
		got := make(chan Invocation, 2)
		note := func(ctx context.Context, _ int) {
			i, _ := InvocationFrom(ctx)
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
		require.Equal(t, Invocation{Service: "sold", From: publisher.Addr()}, <-got)
		_, err = publisher.Caller("sell", Meta("traceparent", "00-1")).Call(context.Background())
		require.NoError(t, err)
		require.Equal(t, Invocation{Service: "sold", From: subscriber.Addr(), Meta: map[string]string{"traceparent": "00-1"}}, <-got)
	})
}

// An event that nobody answers is given up when ctx ends, or after Config.CallTimeout.
func TestPublishEndsWithItsContext(t *testing.T) {
	inPair(t, nil, func(c *cluster, subscriber, publisher *Node) {
		_, err := subscriber.Subscribe("sold", func(int) {})
		require.NoError(t, err)
		heard()
		for _, limit := range []time.Duration{100 * time.Millisecond, time.Hour} {
			c.net.SetDefault(simnet.Link{Loss: 1})
			ctx, cancel := context.Background(), func() {}
			if limit < time.Hour {
				ctx, cancel = context.WithTimeout(ctx, limit)
			}
			start := time.Now()
			d, err := publisher.Publish(ctx, "sold", 1)
			cancel()
			requireError(t, err, DeadlineExceeded, Maybe)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, []error{err.(interface{ Unwrap() []error }).Unwrap()[0]}, d.Missed)
			require.InDelta(t, min(limit, 300*time.Millisecond), time.Since(start), float64(5*time.Millisecond))
			c.net.SetDefault(simnet.Link{})
			c.until(3*time.Second, "it is heard again", func() bool {
				d, err := publisher.Publish(context.Background(), "sold", 1)
				return err == nil && len(d.Nodes) == 1
			})
		}
	}, func(cfg *Config) { cfg.CallTimeout = 300 * time.Millisecond })
}

// Many publish at once: nothing is lost, and nothing comes twice.
func TestManyPublishAtOnce(t *testing.T) {
	inShop(t, func(c *cluster, _ *Node) {
		var times [7 * 200]atomic.Int32
		for i := range 7 {
			_, err := c.nodes[i].Subscribe("sold", func(e int) { times[e].Add(1) })
			require.NoError(t, err)
		}
		heard()
		var all sync.WaitGroup
		for e := range times {
			all.Go(func() {
				d, err := c.nodes[e%7].Publish(context.Background(), "sold", e)
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
	node, err := Start(Config{LogLevel: "off"})
	require.NoError(t, err)
	defer node.Close()
	allocs := testing.AllocsPerRun(100, func() { _, _ = node.Publish(context.Background(), "sold", 7) })
	require.LessOrEqual(t, allocs, 12.0)
	t.Log(allocs, "allocations")
}

// The error of Publish is that of everyone who missed the event.
func TestTheErrorOfPublishHoldsAll(t *testing.T) {
	n := new(Node)
	d, err := n.delivery("sold", []handing{
		{node: addrOf(2)}, {failed: &Error{Code: Overloaded, Executed: No, Service: "\x00asold"}}, {node: addrOf(1)}, {node: addrOf(2)},
		{failed: &Error{Code: Unreachable, Service: "\x00asold"}}, {failed: &Error{Code: NotFound, Executed: No}},
	})
	require.Equal(t, []int{2, 3}, ports(d.Nodes))
	require.Len(t, d.Missed, 2)
	require.True(t, errors.Is(err, ErrOverloaded) && errors.Is(err, ErrUnreachable))
	require.False(t, errors.Is(err, ErrNotFound))
	require.NotContains(t, err.Error(), "\x00")
}
