package clustertest

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broach"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// InPair runs a test on a provider of some functions and a caller that knows them.
func InPair(
	t *testing.T, functions map[string]any, test func(c *Cluster, provider, caller *broach.Node),
	edit ...func(*broach.Config),
) {
	Run(t, 1, func(c *Cluster) {
		for _, e := range edit {
			c.Edit = e
		}
		provider, caller := c.Start(0), c.Start(1, 0)
		for name, fn := range functions {
			Offer(c, provider, caller, name, fn)
		}
		test(c, provider, caller)
	})
}

// Offer registers a function and waits until the caller knows.
func Offer(c *Cluster, provider, caller *broach.Node, name string, fn any, opts ...broach.RegisterOption) {
	require.NoError(c.T, provider.Register(name, fn, opts...))
	require.NoError(c.T, caller.WaitFor(c.T.Context(), name, 1))
}

// RequireError holds the error of a call to its code and to what it says of the function.
func RequireError(t *testing.T, err error, code broach.Code, executed broach.Executed) *broach.Error {
	t.Helper()
	var e *broach.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, code, e.Code, e.Message)
	require.Equal(t, executed, e.Executed, e.Message)
	require.ErrorIs(t, err, &broach.Error{Code: code})
	return e
}

// Hang is a function that does not return before its caller is gone.
func Hang(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// Loopback is the address of this host alone.
var Loopback = netip.MustParseAddr("127.0.0.1")

// MemberAt is what a node says of another.
func MemberAt(n *broach.Node, addr netip.AddrPort) broach.Member {
	list := n.Members()
	return list[slices.IndexFunc(list, func(m broach.Member) bool { return m.Addr == addr })]
}

// PickFunc is a Balancer made of a function.
type PickFunc func(call broach.CallInfo, providers []broach.Provider) int

// Pick calls it.
func (f PickFunc) Pick(call broach.CallInfo, providers []broach.Provider) int {
	return f(call, providers)
}

// RequireWithin logs the median and the longest of what was measured, and requires that the longest keeps to the bound.
func RequireWithin(t *testing.T, bound time.Duration, what string, took []time.Duration) {
	t.Helper()
	slices.Sort(took)
	t.Logf("%s: median %v, longest %v of %d, at most %v", what, took[len(took)/2], took[len(took)-1], len(took), bound)
	require.LessOrEqual(t, took[len(took)-1], bound, what)
}

// CountDoubts watches for live members that somebody suspects or holds to be offline.
func CountDoubts(t *testing.T, nodes []*broach.Node) (doubts func() int64) {
	var n atomic.Int64
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, node := range nodes {
		wg.Go(func() {
			for e := range node.Watch(ctx) {
				if e.Kind == broach.MemberSuspect || e.Kind == broach.MemberOffline {
					n.Add(1)
				}
			}
		})
	}
	return func() int64 { cancel(); wg.Wait(); return n.Load() }
}

// SomeNoise is what calls carry, from the front.
var SomeNoise = Noise(1 << 20)

// BodiesIn lists the bodies of the messages of one kind in a datagram of a link that is not sealed.
func BodiesIn(b []byte, of wire.Kind) (bodies [][]byte) {
	h, rest, err := wire.ConsumeHeader(b)
	for err == nil && h.Form == wire.FormLink && len(rest) > 0 {
		var kind wire.Kind
		var body []byte
		if kind, body, rest, err = wire.ConsumeMessage(rest); err == nil && kind == of {
			bodies = append(bodies, body)
		}
	}
	return bodies
}

// Tally counts calls by the number of the node that answers them.
func Tally(c *Cluster, caller *broach.Node, calls int) map[int]int {
	var mu sync.Mutex
	got := map[int]int{}
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range calls / 16 {
				i, err := broach.Call[int](context.Background(), caller.Caller("which"))
				require.NoError(c.T, err)
				mu.Lock()
				got[i]++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return got
}
