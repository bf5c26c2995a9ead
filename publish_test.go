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
	"testing/synctest"
	"time"

	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// inShop runs a test on a publisher, node 0, and three instances each of two applications: "stock", nodes 1 to 3, and "mail", 4 to 6.
func inShop(t *testing.T, test func(c *cluster, publisher *Node)) {
	inCluster(t, 1, func(c *cluster) {
		for i := range 7 {
			c.edit = func(cfg *Config) { cfg.Name = []string{"shop", "stock", "mail"}[(i+2)/3] }
			c.start(i, 0)
		}
		c.settle(2 * time.Second)
		test(c, c.nodes[0])
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
func (b *inbox) subscribe(c *cluster, i int, opts ...SubscribeOption) *Subscription {
	s, err := c.nodes[i].Subscribe("sold", func(event int) { b.put(i, event) }, opts...)
	require.NoError(c.t, err)
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
func publish(t *testing.T, from *Node, first, end, nodes int) (took map[netip.AddrPort]int) {
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

// [EVT-1] An event is one Send for each letter `a`, each application name under `g`, and for `o`, to a process that announces the name
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
		alone := c.start(0, 1) // its seed is not there: it goes on joining
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
		require.Zero(t, subscriber.memory.used.Load(), "the transfer is over")
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

// [EVT-4] A subscription handles the events that it has taken one at a time, in the order in which the Sends were answered.
func TestEventsKeepTheirOrderThroughLoss(t *testing.T) {
	inCluster(t, 7, func(c *cluster) {
		for i := range 4 {
			c.start(i, 0)
		}
		var running, overlaps atomic.Int32
		got := make([]map[int][]int, 2) // by subscriber, then by publisher
		for i := range got {
			got[i] = make(map[int][]int)
			_, err := c.nodes[i].Subscribe("sold", func(event [2]int) {
				if i == 0 && running.Add(1) > 1 {
					overlaps.Add(1)
				}
				time.Sleep(time.Duration(event[1]%3) * time.Millisecond)
				got[i][event[0]] = append(got[i][event[0]], event[1])
				if i == 0 {
					running.Add(-1)
				}
			}, EachInstance())
			require.NoError(t, err)
		}
		heard()
		c.net.SetDefault(simnet.Link{Loss: 0.1, Duplicate: 0.1, Reorder: 0.2, Delay: 300 * time.Microsecond, Jitter: 200 * time.Microsecond})
		var all sync.WaitGroup
		for from := range 4 {
			all.Go(func() {
				for i := range 500 {
					d, err := c.nodes[from].Publish(context.Background(), "sold", [2]int{from, i})
					require.NoError(t, err)
					require.Len(t, d.Nodes, 2)
				}
			})
		}
		all.Wait()
		handled(5 * time.Second)
		require.Zero(t, overlaps.Load())
		for i := range got {
			for from := range 4 {
				requireOnce(t, got[i], []int{from}, 500)
			}
		}
	})
}

// [EVT-3] Under `g` and `o`, the event MUST NOT go to a second process unless the first one has not taken it for sure: executed no.
func TestADeadInstanceMissesNoLaterEventOfItsApplication(t *testing.T) {
	inShop(t, func(c *cluster, publisher *Node) {
		var box inbox
		for i := 1; i < 4; i++ {
			box.subscribe(c, i)
		}
		heard()
		publish(t, publisher, 0, 100, 1)
		c.kill(c.nodes[2])
		var missed []int
		start := time.Now()
		for e := 100; e < 400; e++ {
			d, err := publisher.Publish(context.Background(), "sold", e)
			if err == nil {
				require.Len(t, d.Nodes, 1)
				continue
			}
			require.Len(t, d.Missed, 1)
			failed := requireError(t, d.Missed[0], Unreachable, Maybe)
			require.ErrorIs(t, err, ErrUnreachable)
			require.Equal(t, "sold", failed.Service)
			require.Equal(t, addrOf(2).String(), failed.Node)
			require.Contains(t, failed.Message, `"stock"`)
			require.NotContains(t, err.Error(), "\x00")
			missed = append(missed, e)
			start = time.Now()
		}
		require.Less(t, len(missed), 3, "it is known to be dead then")
		require.Less(t, time.Since(start), time.Second)
		got := box.take()
		for _, e := range missed {
			box.put(0, e)
		}
		got[0] = missed
		requireOnce(t, got, []int{0, 1, 2, 3}, 400)
		t.Logf("%d events were missed", len(missed))
	})
}

// Each instance that dies is named, and delays nobody else's event.
func TestADeadInstanceIsMissed(t *testing.T) {
	inShop(t, func(c *cluster, publisher *Node) {
		var box inbox
		for i := 1; i < 7; i++ {
			box.subscribe(c, i, EachInstance())
		}
		heard()
		c.kill(c.nodes[5])
		d, err := publisher.Publish(context.Background(), "sold", 0)
		requireError(t, err, Unreachable, Maybe)
		require.Len(t, d.Missed, 1)
		require.Equal(t, []int{2, 3, 4, 5, 7}, ports(d.Nodes))
		require.Equal(t, addrOf(5).String(), requireError(t, d.Missed[0], Unreachable, Maybe).Node)
		require.Len(t, box.take(), 5)
		publish(t, publisher, 1, 2, 5)
	})
}

// [EVT-4] None is lost when the process leaves.
func TestLeaveHandlesWhatItHasTaken(t *testing.T) {
	inShop(t, func(c *cluster, publisher *Node) {
		var times [3000]atomic.Int32
		for i := 1; i < 4; i++ {
			_, err := c.nodes[i].Subscribe("sold", func(e int) { time.Sleep(3 * time.Millisecond); times[e].Add(1) })
			require.NoError(t, err)
		}
		heard()
		left := make(chan error, 2)
		for e := range times {
			if e == 1000 || e == 2000 {
				go func() { left <- c.nodes[e/1000].Leave(context.Background()) }()
			}
			time.Sleep(time.Millisecond)
			d, err := publisher.Publish(context.Background(), "sold", e)
			require.NoError(t, err)
			require.Len(t, d.Nodes, 1)
		}
		require.NoError(t, <-left)
		require.NoError(t, <-left)
		require.Error(t, c.nodes[1].provider.ctx.Err())
		time.Sleep(10 * time.Second)
		for e := range times {
			require.EqualValues(t, 1, times[e].Load(), "event %d", e)
		}
	})
}

// A node that has said that it leaves, and is not gone, is no subscriber any more.
func TestWhoLeavesIsNoSubscriber(t *testing.T) {
	inPair(t, nil, func(c *cluster, subscriber, publisher *Node) {
		stop := make(chan struct{})
		_, err := subscriber.Subscribe("sold", func(int) { <-stop })
		require.NoError(t, err)
		_, err = subscriber.Subscribe("sold", func(int) {}, EachInstance())
		require.NoError(t, err)
		heard()
		publish(t, publisher, 0, 1, 1)
		left := make(chan error)
		go func() { left <- subscriber.Leave(context.Background()) }()
		time.Sleep(time.Second)
		publish(t, publisher, 1, 2, 0)
		close(stop)
		require.NoError(t, <-left)
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
	if raceEnabled {
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
