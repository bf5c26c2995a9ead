package far

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/simnet"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// Paths that are not as tidy as a delay and a loss that are the same each way. A test of these knows one way, there,
// and the other, back.

// An oddPath is one, and what a large message over it may take at most, in units of what it takes at least over like.
type oddPath struct {
	name        string
	there, back farWay
	like        farPath
	most        farTransfer
}

// A farWay is one direction: a link, and the bucket of a path if it has one, which is made anew for each run.
type farWay struct {
	simnet.Link
	thin farPath
}

func (w farWay) link() simnet.Link {
	if w.thin.mbit > 0 {
		return w.thin.link()
	}
	return w.Link
}

func oddPaths() []oddPath {
	plain, far, most := farWay{Link: simnet.Link{Delay: 40 * ms}}, farPath{roundTrip: 80 * ms}, farTransfer{3, 1.1}
	unsteady := farWay{Link: simnet.Link{Delay: 10 * ms, Jitter: 30 * ms}}
	narrow, wide := farPath{roundTrip: 80 * ms, mbit: 1, queue: wideQueue}, farPath{roundTrip: 80 * ms, mbit: 20,
		queue: wideQueue}
	return []oddPath{
		{"acknowledgements are lost", plain, farWay{Link: simnet.Link{Delay: 40 * ms, Loss: 0.1}}, far, most},
		{"half of the acknowledgements are lost", plain, farWay{Link: simnet.Link{Delay: 40 * ms, Loss: 0.5}}, far,
			farTransfer{3, 1.3}},
		{"jitter above the round trip", unsteady, farWay{Link: simnet.Link{Delay: 10 * ms}},
			farPath{roundTrip: 50 * ms}, farTransfer{4, 1.1}},
		{"jitter each way", unsteady, unsteady, far, most},
		{"duplicates", farWay{Link: simnet.Link{Delay: 40 * ms, Duplicate: 0.2}},
			farWay{Link: simnet.Link{Delay: 40 * ms, Duplicate: 0.2}}, far, most},
		{"a thin way back", plain, farWay{thin: narrow}, far, most},
		{"a thin way there, a thinner one back", farWay{thin: wide}, farWay{thin: narrow}, wide, farTransfer{1.5, 1.3}},
		{"loss on one side", farWay{Link: simnet.Link{Delay: 40 * ms, Loss: 0.05}}, plain, far, most},
		{"a longer way back", farWay{Link: simnet.Link{Delay: ms}}, farWay{Link: simnet.Link{Delay: 150 * ms}},
			farPath{roundTrip: 151 * ms}, most},
	}
}

// [FRAG-6] is judged by what was lost and by how much longer the round trip is than the path: of what an
// acknowledgement suffers, only the delay counts.
func TestLargeMessagesOverOddPaths(t *testing.T) {
	for _, p := range oddPaths() {
		for _, sealed := range []bool{false, true} {
			t.Run(p.name, func(t *testing.T) {
				medianOver(t, p.most, func(c *clustertest.Cluster) farTransfer { return moveOverOddPath(c, p, sealed) })
			})
		}
	}
}

func moveOverOddPath(c *clustertest.Cluster, p oddPath, sealed bool) farTransfer {
	if sealed {
		c.WithKeys(clustertest.KeyOf(1))
	}
	provider, caller := farPair(c, farPath{roundTrip: ms})
	c.Net.SetLink(caller.Addr(), provider.Addr(), p.there.link())
	c.Net.SetLink(provider.Addr(), caller.Addr(), p.back.link())
	callFor(c.T, caller, 2*time.Second)
	return moveCounted(c, p.like, caller, 1_000_000)
}

// moveCounted is one large argument, of which the datagrams are counted by size: with keys nothing else can be seen.
func moveCounted(c *clustertest.Cluster, like farPath, caller *broach.Node, bytes int) farTransfer {
	var mu sync.Mutex
	large := 0
	c.Net.Tap(tapOf(caller.Addr(), func(b []byte) {
		mu.Lock()
		defer mu.Unlock()
		if len(b) > wire.ControlPacket/2 {
			large++
		}
	}))
	start := time.Now()
	moveLarge(c.T, caller, bytes)
	mu.Lock()
	defer mu.Unlock()
	f := farTransfer{float64(time.Since(start)) / float64(like.ideal(bytes)), float64(large) / float64(needed(bytes))}
	c.T.Logf("%.2f times the ideal time, %.3f of the datagrams", f.took, f.datagrams)
	return f
}

// moveLarge is one argument of any size.
func moveLarge(t require.TestingT, caller *broach.Node, bytes int) {
	n, err := broach.Call[int](context.Background(), caller.Caller("sink", broach.Timeout(time.Minute)),
		make([]byte, bytes))
	require.NoError(t, err)
	require.Equal(t, bytes, n)
}

// [CALL-18] [FRAG-6] The path changes again and again while large messages go both ways: all arrive, and afterwards it
// is as if it had always been so.
func TestThePathChangesUnderLargeMessagesBothWays(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		provider, caller := farPair(c, farPath{roundTrip: ms})
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for _, back := range []bool{false, true} {
			wg.Go(func() {
				for isOpen(stop) {
					moveOne(t, caller, 500_000, back)
				}
			})
		}
		for _, rt := range []time.Duration{ms, 80 * ms, 300 * ms, 20 * ms} {
			lay(c, farPath{roundTrip: rt}, provider, caller)
			time.Sleep(20*ms + min(20*rt, 3*time.Second))
			stats := caller.Stats().Peers[0]
			t.Logf("round trip %v, shown as %v, %d sent again", rt, stats.RTT, stats.Retransmits)
			require.InDelta(t, rt, stats.RTT, float64(rt)/2+float64(5*ms))
			require.Equal(t, broach.Alive, stats.State)
		}
		close(stop)
		wg.Wait()
		f := moveCounted(c, farPath{roundTrip: 20 * ms}, caller, 1_000_000)
		require.Less(t, f.took, 3.0)
		require.Less(t, f.datagrams, 1.1)
	})
}

// isOpen says that a channel was not closed.
func isOpen(c chan struct{}) bool {
	select {
	case <-c:
		return false
	default:
		return true
	}
}

// tapOf is a tap of what one address sends.
func tapOf(sender netip.AddrPort, see func(b []byte)) func(time.Time, netip.AddrPort, netip.AddrPort, []byte) {
	return func(_ time.Time, from, _ netip.AddrPort, b []byte) {
		if from == sender {
			see(b)
		}
	}
}

// [FRAG-5] A packet size that the path no longer carries, at 200 ms, in the midst of a transfer; and one of a path that
// carries more.
func TestThePacketSizeChangesAmidATransferOverADistance(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		provider, caller := farPair(c, farPath{roundTrip: 200 * ms})
		moveOne(t, caller, 1_000_000, false)
		shrunk := simnet.Link{Delay: 100 * ms, MTU: 1250}
		time.AfterFunc(500*ms, func() { c.Net.SetLink(caller.Addr(), provider.Addr(), shrunk) })
		start := time.Now()
		moveLarge(t, caller, 4_000_000)
		t.Logf("4 MB in %v", time.Since(start))
		require.Less(t, time.Since(start), 15*time.Second)
		start = time.Now()
		moveOne(t, caller, 1_000_000, false)
		require.Less(t, float64(time.Since(start)), 3*float64(farPath{roundTrip: 200 * ms}.ideal(1_000_000)))
	})
}

// [PATH-9] of Fragments in larger datagrams 8 more were lost a second time than a thirty-second of those that arrived:
// where only these are lost, a message takes 20 times as long as in small ones.
func TestTheSizeFallsWhereOnlyLargeDatagramsAreLost(t *testing.T) {
	for _, share := range []float64{0.3, 0.5} {
		clustertest.Run(t, 1, func(c *clustertest.Cluster) {
			provider, caller := farPair(c, farPath{roundTrip: 200 * ms})
			for _, ends := range [][2]*broach.Node{{provider, caller}, {caller, provider}} {
				c.Net.SetLink(ends[0].Addr(), ends[1].Addr(), simnet.Link{Delay: 100 * ms})
			}
			moveOne(t, caller, 1_000_000, false)
			require.Equal(t, 21829, caller.Stats().Peers[0].PacketSize)

			var drawn atomic.Uint64
			c.Net.Drop(func(_, _ netip.AddrPort, b []byte) bool {
				return len(b) > farMTU && float64(drawn.Add(1)*7919%1000) < share*1000
			})
			for range 12 {
				moveOne(t, caller, 1_000_000, false)
			}
			require.Equal(t, 1400, caller.Stats().Peers[0].PacketSize, "%v are lost", share)
		})
	}
}

// [FRAG-6] A receiver that is not there for a while is no smaller path: what was sent before it came back is not sent
// again many times.
func TestThePathIsGoneForAWhile(t *testing.T) {
	for _, gone := range []time.Duration{100 * ms, 300 * ms, time.Second} {
		clustertest.Run(t, 1, func(c *clustertest.Cluster) {
			p := farPath{roundTrip: 20 * ms}
			provider, caller := farPair(c, p)
			moveOne(t, caller, 1_000_000, false)
			time.AfterFunc(30*ms, func() { lay(c, farPath{roundTrip: 20 * ms, loss: 1}, provider, caller) })
			time.AfterFunc(30*ms+gone, func() { lay(c, p, provider, caller) })
			start := time.Now()
			f := moveCounted(c, p, caller, 8_000_000)
			t.Logf("gone for %v: 8 MB in %v", gone, time.Since(start))
			require.Less(t, time.Since(start), 30*ms+gone+200*ms+2*p.ideal(8_000_000))
			require.Less(t, f.datagrams, 1.5)
		})
	}
}
