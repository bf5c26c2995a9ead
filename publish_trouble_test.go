package broach

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// [EVT-4] A subscription handles the events that it has taken one at a time, in the order in which the Sends were
// answered.
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

// [EVT-3] Under `g` and `o`, the event MUST NOT go to a second process unless the first one has not taken it for sure:
// executed no.
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
		require.Error(t, c.nodes[1].serving.provider.ctx.Err())
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
