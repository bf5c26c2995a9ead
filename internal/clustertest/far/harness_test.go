package far

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/simnet"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// A farPath is what lies between two nodes: the same each way, but for the bucket, of which each way has its own.
type farPath struct {
	roundTrip, jitter time.Duration
	loss, reorder     float64
	mbit              float64       // of a token bucket with bursts of 16 KiB; 0: there is none
	queue             time.Duration // of that
}

// wideQueue is the queue of a home's router: far more than it needs.
const wideQueue = 500 * time.Millisecond

// farBurst is what a bucket lets pass at once.
const farBurst = 16 << 10

func (p farPath) String() string {
	s := fmt.Sprint(p.roundTrip)
	if p.jitter > 0 {
		s += fmt.Sprint("~", p.jitter)
	}
	if p.loss > 0 {
		s += fmt.Sprintf(" loss=%v", p.loss)
	}
	if p.reorder > 0 {
		s += fmt.Sprintf(" reorder=%v", p.reorder)
	}
	if p.mbit > 0 {
		s += fmt.Sprintf(" %v Mbit/s queue=%v", p.mbit, p.queue)
	}
	return s
}

// bytesPerSecond is the rate of the bucket.
func (p farPath) bytesPerSecond() int { return int(p.mbit * 1e6 / 8) }

// farMTU is what the way through the internet carries.
const farMTU = 1472

// link is one way.
func (p farPath) link() simnet.Link {
	l := simnet.Link{Delay: p.roundTrip / 2, Jitter: p.jitter, Loss: p.loss, Reorder: p.reorder, MTU: farMTU}
	if p.mbit > 0 {
		l.Bucket = simnet.NewBucket(p.bytesPerSecond(), farBurst, p.queue)
	}
	return l
}

// lay sets the path between two nodes.
func lay(c *clustertest.Cluster, p farPath, a, b *broach.Node) {
	c.Net.SetLink(a.Addr(), b.Addr(), p.link())
	c.Net.SetLink(b.Addr(), a.Addr(), p.link())
}

// A farTraffic counts what is said between two nodes.
type farTraffic struct {
	mu        sync.Mutex
	messages  map[wire.Kind]int
	datagrams map[netip.AddrPort]int // with Fragments, by sender
	bytes     map[netip.AddrPort]int // of those
}

// watchTraffic counts from now on.
func watchTraffic(c *clustertest.Cluster) *farTraffic {
	w := &farTraffic{messages: map[wire.Kind]int{}, datagrams: map[netip.AddrPort]int{},
		bytes: map[netip.AddrPort]int{}}
	c.Net.Tap(func(_ time.Time, from, _ netip.AddrPort, b []byte) { w.see(from, b) })
	return w
}

func (w *farTraffic) see(from netip.AddrPort, b []byte) {
	h, rest, err := wire.ConsumeHeader(b)
	if err != nil || h.Form != wire.FormLink {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	large := false
	for len(rest) > 0 {
		kind, _, after, err := wire.ConsumeMessage(rest)
		if err != nil {
			return
		}
		w.messages[kind]++
		large = large || kind == wire.KindFragment
		rest = after
	}
	if large {
		w.datagrams[from]++
		w.bytes[from] += len(b)
	}
}

func (w *farTraffic) of(k wire.Kind) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.messages[k]
}

func (w *farTraffic) fragmentsOf(n *broach.Node) (datagrams, bytes int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.datagrams[n.Addr()], w.bytes[n.Addr()]
}

// farPair are a provider and a caller with a path between them.
func farPair(c *clustertest.Cluster, p farPath) (provider, caller *broach.Node) {
	c.Net.SetLink(clustertest.AddrOf(0), clustertest.AddrOf(1), p.link())
	c.Net.SetLink(clustertest.AddrOf(1), clustertest.AddrOf(0), p.link())
	provider = c.Start(0)
	offerAll(c, provider)
	caller = c.Start(1, 0)
	// the first table may have some of them only
	for _, name := range []string{"one", "slow", "sink", "source", "echo"} {
		require.NoError(c.T, caller.WaitFor(context.Background(), name, 1))
	}
	return provider, caller
}

// offerAll registers what the tests of distance call.
func offerAll(c *clustertest.Cluster, n *broach.Node) {
	for name, f := range map[string]any{
		"one":    func() int { return 1 },
		"slow":   func(ms int) int { time.Sleep(time.Duration(ms) * time.Millisecond); return ms },
		"sink":   func(b []byte) int { return len(b) },
		"source": func(n int) []byte { return clustertest.SomeNoise[:n] },
		"echo":   func(b []byte) []byte { return b },
	} {
		require.NoError(c.T, n.Register(name, f))
	}
}

// callOne makes k small calls, one after the other.
func callOne(t require.TestingT, caller *broach.Node, k int) { callSmall(t, caller, k, "one") }

func callSmall(t require.TestingT, caller *broach.Node, k int, function string) {
	for range k {
		v, err := broach.Call[int](context.Background(), caller.Caller(function))
		require.NoError(t, err)
		require.Equal(t, 1, v)
	}
}

// callFor makes small calls for so long.
func callFor(t require.TestingT, caller *broach.Node, d time.Duration) (calls int) {
	for end := time.Now().Add(d); time.Now().Before(end); calls++ {
		callOne(t, caller, 1)
	}
	return calls
}
