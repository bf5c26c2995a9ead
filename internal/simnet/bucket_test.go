package simnet_test

import (
	"strings"
	"testing"
	"time"

	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// pour sends count datagrams of 1,000 bytes from alice to bob at once, and returns when they arrive.
func pour(t *testing.T, n *simnet.Network, count int) []time.Duration {
	t.Helper()
	a, heard := listen(t, n, alice), recordAt(t, n, bob)
	for range count {
		send(t, a, bob, strings.Repeat("x", 1000))
	}
	time.Sleep(time.Minute)
	var at []time.Duration
	for _, d := range heard() {
		at = append(at, d.at.Truncate(time.Millisecond))
	}
	return at
}

// "Lets so many bytes a second pass, burst of them at once. What finds it empty waits in order."
func TestABucketLetsABurstPassAndThenItsRate(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *simnet.Network) {
		n.SetLink(alice, bob, simnet.Link{Delay: time.Second, Bucket: simnet.NewBucket(100_000, 4000, time.Minute)})
		ms := func(k int) time.Duration { return time.Duration(k) * time.Millisecond }
		require.Equal(t, []time.Duration{ms(1000), ms(1000), ms(1000), ms(1000), ms(1010), ms(1020), ms(1030)},
			pour(t, n, 7))
	})
}

// "For up to queue; what would wait longer is dropped. With a queue of 0 it is a policer."
func TestAFullQueueOfABucketDrops(t *testing.T) {
	for queue, passes := range map[time.Duration]int{0: 4, 25 * time.Millisecond: 6, time.Second: 10} {
		simulate(t, 1, func(t *testing.T, n *simnet.Network) {
			n.SetDefault(simnet.Link{Bucket: simnet.NewBucket(100_000, 4000, queue)})
			require.Len(t, pour(t, n, 10), passes, "queue %v", queue)
			require.EqualValues(t, 10-passes, n.Stats().Crowded)
		})
	}
}

// "Such as the uplink of a site": links that name one bucket share it.
func TestLinksShareABucket(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *simnet.Network) {
		n.SetDefault(simnet.Link{Bucket: simnet.NewBucket(100_000, 4000, 0)})
		a, heard, too := listen(t, n, alice), recordAt(t, n, bob), recordAt(t, n, carol)
		for range 4 {
			send(t, a, bob, strings.Repeat("x", 1000))
			send(t, a, carol, strings.Repeat("x", 1000))
		}
		time.Sleep(time.Second)
		require.Len(t, heard(), 2)
		require.Len(t, too(), 2)
		send(t, a, bob, strings.Repeat("x", 1000))
		time.Sleep(time.Second)
		require.Len(t, heard(), 3, "it fills again")
	})
}
