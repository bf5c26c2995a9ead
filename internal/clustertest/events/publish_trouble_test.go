package events

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// [EVT-4] A subscription handles the events that it has taken one at a time, in the order in which the Sends were
// answered.
func TestEventsKeepTheirOrderThroughLoss(t *testing.T) {
	clustertest.Run(t, 7, func(c *clustertest.Cluster) {
		for i := range 4 {
			c.Start(i, 0)
		}
		var running, overlaps atomic.Int32
		got := make([]map[int][]int, 2) // by subscriber, then by publisher
		for i := range got {
			got[i] = make(map[int][]int)
			_, err := c.Nodes[i].Subscribe("sold", func(event [2]int) {
				if i == 0 && running.Add(1) > 1 {
					overlaps.Add(1)
				}
				time.Sleep(time.Duration(event[1]%3) * time.Millisecond)
				got[i][event[0]] = append(got[i][event[0]], event[1])
				if i == 0 {
					running.Add(-1)
				}
			}, broach.EachInstance())
			require.NoError(t, err)
		}
		heard()
		c.Net.SetDefault(simnet.Link{Loss: 0.1, Duplicate: 0.1, Reorder: 0.2, Delay: 300 * time.Microsecond,
			Jitter: 200 * time.Microsecond})
		var all sync.WaitGroup
		for from := range 4 {
			all.Go(func() {
				for i := range 500 {
					d, err := c.Nodes[from].Publish(context.Background(), "sold", [2]int{from, i})
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

// [EVT-3] Under `g` and `o`, the event MUST NOT go to a second process unless the first one has not taken it for sure:
// executed no.
func TestADeadInstanceMissesNoLaterEventOfItsApplication(t *testing.T) {
	inShop(t, func(c *clustertest.Cluster, publisher *broach.Node) {
		var box inbox
		for i := 1; i < 4; i++ {
			box.subscribe(c, i)
		}
		heard()
		publish(t, publisher, 0, 100, 1)
		c.Kill(c.Nodes[2])
		var missed []int
		start := time.Now()
		for e := 100; e < 400; e++ {
			d, err := publisher.Publish(context.Background(), "sold", e)
			if err == nil {
				require.Len(t, d.Nodes, 1)
				continue
			}
			require.Len(t, d.Missed, 1)
			failed := clustertest.RequireError(t, d.Missed[0], broach.Unreachable, broach.Maybe)
			require.ErrorIs(t, err, broach.ErrUnreachable)
			require.Equal(t, "sold", failed.Service)
			require.Equal(t, clustertest.AddrOf(2).String(), failed.Node)
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
	inShop(t, func(c *clustertest.Cluster, publisher *broach.Node) {
		var box inbox
		for i := 1; i < 7; i++ {
			box.subscribe(c, i, broach.EachInstance())
		}
		heard()
		c.Kill(c.Nodes[5])
		d, err := publisher.Publish(context.Background(), "sold", 0)
		clustertest.RequireError(t, err, broach.Unreachable, broach.Maybe)
		require.Len(t, d.Missed, 1)
		require.Equal(t, []int{2, 3, 4, 5, 7}, ports(d.Nodes))
		require.Equal(t, clustertest.AddrOf(5).String(),
			clustertest.RequireError(t, d.Missed[0], broach.Unreachable, broach.Maybe).Node)
		require.Len(t, box.take(), 5)
		publish(t, publisher, 1, 2, 5)
	})
}

// A node that has said that it leaves, and is not gone, is no subscriber any more.
func TestWhoLeavesIsNoSubscriber(t *testing.T) {
	clustertest.InPair(t, nil, func(c *clustertest.Cluster, subscriber, publisher *broach.Node) {
		stop := make(chan struct{})
		_, err := subscriber.Subscribe("sold", func(int) { <-stop })
		require.NoError(t, err)
		_, err = subscriber.Subscribe("sold", func(int) {}, broach.EachInstance())
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

// [EVT-4] None is lost when the process leaves.
func TestLeaveHandlesWhatItHasTaken(t *testing.T) {
	inShop(t, func(c *clustertest.Cluster, publisher *broach.Node) {
		var times [3000]atomic.Int32
		for i := 1; i < 4; i++ {
			_, err := c.Nodes[i].Subscribe("sold", func(e int) { time.Sleep(3 * time.Millisecond); times[e].Add(1) })
			require.NoError(t, err)
		}
		heard()
		left := make(chan error, 2)
		for e := range times {
			if e == 1000 || e == 2000 {
				go func() { left <- c.Nodes[e/1000].Leave(context.Background()) }()
			}
			time.Sleep(time.Millisecond)
			d, err := publisher.Publish(context.Background(), "sold", e)
			require.NoError(t, err)
			require.Len(t, d.Nodes, 1)
		}
		require.NoError(t, <-left)
		require.NoError(t, <-left)
		require.True(t, clustertest.IsClosed(c.Nodes[1]))
		time.Sleep(10 * time.Second)
		for e := range times {
			require.EqualValues(t, 1, times[e].Load(), "event %d", e)
		}
	})
}

// The error of Publish is that of everyone who missed the event. Who took it is named once, whatever it took it for,
// and who has just closed its subscription is nobody.
func TestTheErrorOfPublishHoldsAll(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.StartAll(5)
		c.Settle(2 * time.Second)
		publisher, stop := c.Nodes[0], make(chan struct{})
		defer close(stop)
		var box inbox
		for _, i := range []int{0, 1, 3} {
			box.subscribe(c, i, broach.EachInstance())
		}
		box.subscribe(c, 1)
		_, err := c.Nodes[2].Subscribe("sold", func(int) { <-stop }, broach.EachInstance(), broach.Backlog(1))
		require.NoError(t, err)
		closing := box.subscribe(c, 4, broach.EachInstance())
		heard()
		publish(t, publisher, 0, 1, 5)
		time.Sleep(10 * time.Millisecond) // node 2 handles it
		publish(t, publisher, 1, 2, 5)

		c.Kill(c.Nodes[3])
		require.NoError(t, closing.Close())
		d, err := publisher.Publish(context.Background(), "sold", 2)
		require.Equal(t, []int{1, 2}, ports(d.Nodes))
		require.Len(t, d.Missed, 2)
		require.True(t, errors.Is(err, broach.ErrOverloaded) && errors.Is(err, broach.ErrUnreachable))
		require.False(t, errors.Is(err, broach.ErrNotFound))
		require.NotContains(t, err.Error(), "\x00")
	})
}
