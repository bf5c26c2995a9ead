package far

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

const ms = time.Millisecond

// requireSentOnce expects so many calls to have taken no more than 1.05 Requests and Replies each.
func requireSentOnce(t *testing.T, w *farTraffic, calls int) {
	t.Helper()
	most := calls + calls/20
	t.Logf("%d calls, %d Requests, %d Replies", calls, w.of(wire.KindRequest), w.of(wire.KindReply))
	require.LessOrEqual(t, w.of(wire.KindRequest), most, "Requests")
	require.LessOrEqual(t, w.of(wire.KindReply), most, "Replies")
}

// [CALL-9] A Request of which nothing was heard is sent again [...] after a retransmission time: on a path that loses
// nothing, none is, from the first call on.
func TestCallsGoOnceOverAnyDistance(t *testing.T) {
	for _, p := range []farPath{
		{roundTrip: ms}, {roundTrip: 20 * ms}, {roundTrip: 60 * ms}, {roundTrip: 80 * ms}, {roundTrip: 240 * ms},
		{roundTrip: 600 * ms},
		{roundTrip: 80 * ms, jitter: 5 * ms}, {roundTrip: 240 * ms, jitter: 20 * ms},
	} {
		t.Run(p.String(), func(t *testing.T) {
			for callers, calls := range map[int]int{1: 20, 20: 10} {
				clustertest.Run(t, 1, func(c *clustertest.Cluster) {
					_, caller := farPair(c, p)
					w := watchTraffic(c)
					atOnce(callers, func() { callOne(t, caller, calls) })
					requireSentOnce(t, w, callers*calls)
					require.InDelta(t, p.roundTrip+p.jitter, caller.Stats().Peers[0].RTT, float64(p.jitter+2*ms),
						"as Stats show it")
				})
				clustertest.Run(t, 1, func(c *clustertest.Cluster) {
					caller, provider := farPair(c, p)
					require.NoError(t, provider.Register("other", func() int { return 1 }))
					require.NoError(t, caller.WaitFor(context.Background(), "other", 1))
					w := watchTraffic(c)
					atOnce(callers, func() { callSmall(t, caller, calls, "other") })
					requireSentOnce(t, w, callers*calls)
				})
			}
		})
	}
}

// atOnce runs f k times at once.
func atOnce(k int, f func()) {
	var wg sync.WaitGroup
	for range k {
		wg.Go(f)
	}
	wg.Wait()
}

// Where datagrams are lost, little more is sent than was lost.
func TestCallsThroughLossOverADistance(t *testing.T) {
	for _, p := range []farPath{
		{roundTrip: 80 * ms, loss: 0.01}, {roundTrip: 80 * ms, loss: 0.05},
		{roundTrip: 240 * ms, loss: 0.05, jitter: 10 * ms},
	} {
		t.Run(p.String(), func(t *testing.T) {
			clustertest.Run(t, 1, func(c *clustertest.Cluster) {
				_, caller := farPair(c, p)
				w := watchTraffic(c)
				atOnce(20, func() { callOne(t, caller, 50) })
				needed := 1000 / (1 - p.loss) / (1 - p.loss)
				t.Logf("%d Requests, %d Replies", w.of(wire.KindRequest), w.of(wire.KindReply))
				require.Less(t, float64(w.of(wire.KindRequest)), 1.1*needed)
				require.Less(t, float64(w.of(wire.KindReply)), 1.1*needed)
			})
		})
	}
}

// A path that becomes another: after two seconds, calls go once again.
func TestCallsGoOnceAfterThePathHasChanged(t *testing.T) {
	for _, change := range [][2]time.Duration{
		{ms, 200 * ms}, {ms, 600 * ms}, {20 * ms, 80 * ms}, {80 * ms, 240 * ms}, {200 * ms, ms}, {240 * ms, 20 * ms},
	} {
		for _, callers := range []int{1, 20} {
			t.Run(fmt.Sprint(change, callers), func(t *testing.T) {
				clustertest.Run(t, 1, func(c *clustertest.Cluster) {
					provider, caller := farPair(c, farPath{roundTrip: change[0]})
					callOne(t, caller, 20)
					lay(c, farPath{roundTrip: change[1]}, provider, caller)
					atOnce(callers, func() { callFor(t, caller, 2*time.Second) })
					w := watchTraffic(c)
					atOnce(callers, func() { callOne(t, caller, 20) })
					requireSentOnce(t, w, 20*callers)
					require.InDelta(t, change[1], caller.Stats().Peers[0].RTT, float64(change[1])/4)
					require.Equal(t, broach.Alive, caller.Stats().Peers[0].State)
				})
			})
		}
	}
}

// A function that takes longer than the path answers by Progress first, and is asked after.
func TestSlowCallsOverADistance(t *testing.T) {
	for _, rt := range []time.Duration{ms, 80 * ms, 240 * ms} {
		for _, took := range []int{3, 20, 150, 1000} {
			t.Run(fmt.Sprint(rt, took), func(t *testing.T) {
				clustertest.Run(t, 1, func(c *clustertest.Cluster) {
					_, caller := farPair(c, farPath{roundTrip: rt})
					w := watchTraffic(c)
					for range 20 {
						_, err := broach.Call[int](context.Background(), caller.Caller("slow"), took)
						require.NoError(t, err)
					}
					t.Logf("%d Requests, %d Progress, %d Polls, %d Replies", w.of(wire.KindRequest),
						w.of(wire.KindProgress), w.of(wire.KindPoll), w.of(wire.KindReply))
					require.LessOrEqual(t, w.of(wire.KindRequest), 21)
				})
			})
		}
	}
}
