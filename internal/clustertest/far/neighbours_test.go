package far

import (
	"context"
	"sync"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/simnet"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// A path that becomes longer, or short again, under large messages.
func TestLargeMessagesWhereThePathChanges(t *testing.T) {
	for _, change := range [][2]time.Duration{
		{ms, 200 * ms}, {20 * ms, 80 * ms}, {80 * ms, 240 * ms}, {200 * ms, ms}, {240 * ms, 20 * ms},
	} {
		p := farPath{roundTrip: change[1]}
		for _, back := range []bool{false, true} {
			medianOver(t, farTransfer{3, 1.1}, func(c *clustertest.Cluster) farTransfer {
				provider, caller := farPair(c, farPath{roundTrip: change[0]})
				moveOne(t, caller, 1_000_000, back)
				lay(c, p, provider, caller)
				first := moveTogether(c, p, provider, caller, 1, 1_000_000, back)
				require.Less(t, first.took, 5.0+float64(10*change[0])/float64(p.ideal(1_000_000)), "while it changes")
				return moveTogether(c, p, provider, caller, 1, 1_000_000, back)
			})
		}
	}
}

// Large messages in both directions at once, with small calls among them: these take no longer than the path and its
// queue.
func TestBothDirectionsAtOnceThroughABucket(t *testing.T) {
	for _, p := range []farPath{
		{roundTrip: 20 * ms, mbit: 4, queue: wideQueue}, {roundTrip: 80 * ms, mbit: 20, queue: wideQueue},
		{roundTrip: 80 * ms},
	} {
		t.Run(p.String(), func(t *testing.T) {
			clustertest.Run(t, 1, func(c *clustertest.Cluster) {
				provider, caller := farPair(c, p)
				w := watchTraffic(c)
				var wg sync.WaitGroup
				wg.Go(func() { moveOne(t, caller, 1_000_000, false) })
				wg.Go(func() { moveOne(t, caller, 1_000_000, true) })
				took, worst := time.Now(), time.Duration(0)
				for range 20 {
					start := time.Now()
					callOne(t, caller, 1)
					worst = max(worst, time.Since(start))
				}
				t.Logf("20 small calls beside them took %v, the slowest %v; %d Requests", time.Since(took), worst,
					w.of(wire.KindRequest))
				require.Less(t, worst, p.roundTrip*3/2+400*ms)
				wg.Wait()
				for _, n := range []*broach.Node{provider, caller} {
					datagrams, _ := w.fragmentsOf(n)
					require.Less(t, float64(datagrams)/float64(needed(1_000_000)), 1.3)
				}
				require.LessOrEqual(t, w.of(wire.KindRequest), 23)
			})
		})
	}
}

// One uplink that the ways to several peers share.
func TestTransfersToManyPeersThroughOneUplink(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		p := farPath{roundTrip: 40 * ms, mbit: 20, queue: wideQueue}
		c.Net.SetDefault(simnet.Link{Delay: p.roundTrip / 2})
		sender := c.Start(0)
		uplink := p.link()
		for i := 1; i <= 5; i++ {
			c.Net.SetLink(clustertest.AddrOf(0), clustertest.AddrOf(i), uplink)
			offerAll(c, c.Start(i, 0))
		}
		require.NoError(t, sender.WaitFor(context.Background(), "sink", 5))
		w, start := watchTraffic(c), time.Now()
		var wg sync.WaitGroup
		for i := 1; i <= 5; i++ {
			wg.Go(func() {
				_, err := broach.Call[int](context.Background(),
					sender.Caller("sink", broach.On(clustertest.AddrOf(i)), broach.Timeout(time.Minute)),
					clustertest.SomeNoise[:500_000])
				require.NoError(t, err)
			})
		}
		wg.Wait()
		datagrams, _ := w.fragmentsOf(sender)
		t.Logf("%v, ideal %v; %d datagrams for %d", time.Since(start), p.ideal(2_500_000), datagrams, 5*needed(500_000))
		require.Less(t, float64(time.Since(start))/float64(p.ideal(2_500_000)), 1.3)
		require.Less(t, float64(datagrams)/float64(5*needed(500_000)), 1.3)
	})
}

// What goes one way is not sent again either: a Send is answered as soon as it has found its place, an event when it
// was taken.
func TestOneWayCallsAndEventsGoOnceOverADistance(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		provider, caller := farPair(c, farPath{roundTrip: 240 * ms})
		_, err := provider.Subscribe("news", func(context.Context, int) error { return nil })
		require.NoError(t, err)
		time.Sleep(time.Second)
		w := watchTraffic(c)
		for i := range 20 {
			require.NoError(t, caller.Caller("one").Send(context.Background()))
			d, err := caller.Publish(context.Background(), "news", i)
			require.NoError(t, err)
			require.Equal(t, 1, len(d.Nodes))
		}
		t.Logf("%d Sends, %d Replies", w.of(wire.KindSend), w.of(wire.KindReply))
		require.LessOrEqual(t, w.of(wire.KindSend), 42)
		require.LessOrEqual(t, w.of(wire.KindReply), 42)
	})
}

// 16 MiB over 60 ms: a window that grows as far as the path is long.
func TestAVeryLargeMessageOverADistance(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		_, caller := farPair(c, farPath{roundTrip: 60 * ms})
		start := time.Now()
		n, err := broach.Call[int](context.Background(), caller.Caller("sink", broach.Timeout(time.Minute)),
			make([]byte, 16<<20))
		require.NoError(t, err)
		require.Equal(t, 16<<20, n)
		t.Log(time.Since(start))
		require.Less(t, time.Since(start), 3*time.Second)
	})
}
