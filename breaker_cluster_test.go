package broach

import (
	"context"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patient is a provider of "f" that can fall ill: then f panics.
type patient struct {
	ill     atomic.Bool
	reached atomic.Int64 // calls of f
}

func (p *patient) f() {
	p.reached.Add(1)
	if p.ill.Load() {
		panic("ill")
	}
}

// withPatient runs a test on a caller, node 0, a patient, node 1, and so many healthy providers of "f".
func withPatient(t *testing.T, healthy int, test func(c *cluster, caller *Node, p *patient)) {
	inCluster(t, 1, func(c *cluster) {
		caller, p := c.start(0), &patient{}
		require.NoError(t, c.start(1, 0).Register("f", p.f))
		for i := range healthy {
			require.NoError(t, c.start(i+2, 0).Register("f", func() {}))
		}
		require.NoError(t, caller.WaitFor(context.Background(), "f", healthy+1))
		c.settle(time.Second)
		test(c, caller, p)
	})
}

// isOpenAt reports whether Stats shows the breaker of f at a node as open.
func isOpenAt(n *Node, addr netip.AddrPort) bool {
	for _, p := range n.Stats().Peers {
		if p.Addr == addr {
			return len(p.Open) == 1 && p.Open[0] == "f"
		}
	}
	return false
}

// Stats show a breaker as closed that nobody has tried for long.
func TestABreakerNobodyTriesIsClosedInTheEnd(t *testing.T) {
	withPatient(t, 0, func(c *cluster, caller *Node, p *patient) {
		p.ill.Store(true)
		for range 5 {
			_, _ = caller.Caller("f").Call(context.Background())
		}
		c.until(time.Second, "it is open", func() bool { return isOpenAt(caller, addrOf(1)) })
		time.Sleep(time.Minute / 2)
		require.True(t, isOpenAt(caller, addrOf(1)))
		c.until(2*time.Minute, "it is forgiven", func() bool { return !isOpenAt(caller, addrOf(1)) })
		require.True(t, caller.loop.circuitsAt.IsZero(), "nobody looks at breakers any more")
	})
}
