package clustertest

import (
	"context"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"broach"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

func Idempotent() []broach.RegisterOption { return []broach.RegisterOption{broach.Idempotent()} }

// InTrio runs a test on a caller, node 0, and two providers of "which", which says their number.
func InTrio(t *testing.T, test func(c *Cluster, caller *broach.Node)) {
	Run(t, 1, func(c *Cluster) {
		caller := c.Start(0)
		startProvider(c, 1)
		startProvider(c, 2)
		require.NoError(t, caller.WaitFor(context.Background(), "which", 2))
		c.Settle(time.Second)
		test(c, caller)
	})
}

// WhoAnswers counts who answers calls made one after the other.
func WhoAnswers(t *testing.T, c *broach.Caller, calls int) map[int]int {
	got := map[int]int{}
	for range calls {
		i, err := broach.Call[int](context.Background(), c)
		require.NoError(t, err)
		got[i]++
	}
	return got
}

// Faulty is a Balancer that does something.
type Faulty func(call broach.CallInfo, from []broach.Provider) int

func (f Faulty) Pick(call broach.CallInfo, from []broach.Provider) int { return f(call, from) }

// KindsIn lists the messages in a datagram of a link that is not sealed.
func KindsIn(b []byte) (kinds []wire.Kind) {
	h, rest, err := wire.ConsumeHeader(b)
	if err != nil || h.Form != wire.FormLink {
		return nil
	}
	for len(rest) > 0 {
		kind, _, after, err := wire.ConsumeMessage(rest)
		if err != nil {
			return kinds
		}
		kinds, rest = append(kinds, kind), after
	}
	return kinds
}

func Exit() { runtime.Goexit() }

// startProvider starts node i, which offers its number.
func startProvider(c *Cluster, i int) *broach.Node {
	n := c.Start(i, 0)
	require.NoError(c.T, n.Register("which", func() int { return i }))
	return n
}

// StrangerAt is the i-th of many addresses.
func StrangerAt(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 5, byte(i >> 8), byte(i)}), 9)
}

func BadTopics() []string {
	return []string{"", strings.Repeat("x", 199), "\xff", "a\x00b", "a\nb"}
}
