package calls

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

const picks = 100_000

// providers makes so many with idle links; provider i has weight i+1.
func providers(n int) []broach.Provider {
	list := make([]broach.Provider, n)
	for i := range list {
		list[i] = broach.Provider{Addr: clustertest.AddrOf(i), Weight: i + 1}
	}
	return list
}

// sharesOf counts whom a Balancer picks.
func sharesOf(b broach.Balancer, from []broach.Provider) map[netip.AddrPort]int {
	rng := rand.New(rand.NewPCG(1, 2))
	got := map[netip.AddrPort]int{}
	for range picks {
		got[from[b.Pick(broach.CallInfo{Service: "f", Key: fmt.Sprint(rng.IntN(picks)), Random: rng.Uint64()},
			from)].Addr]++
	}
	return got
}

// Shares of 100,000 calls are within 2 % of the ideal.
func TestSharesOfEachStrategy(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, 3, 10} {
		from := providers(n)
		for name, b := range map[string]broach.Balancer{
			"least loaded": broach.LeastLoaded(), "random": broach.Random(), "round robin": broach.RoundRobin(),
			"sticky": broach.Sticky(),
		} {
			got := sharesOf(b, from)
			for _, p := range from {
				require.InDelta(t, picks/n, got[p.Addr], 0.02*picks, "%s of %d", name, n)
			}
		}
		got := sharesOf(broach.Weighted(), from)
		for i, p := range from {
			require.InDelta(t, picks*(i+1)*2/(n*(n+1)), got[p.Addr], 0.02*picks, "weighted, %d of %d", i, n)
		}
	}
}

func TestRoundRobinGoesRound(t *testing.T) {
	from := providers(4)
	b := broach.RoundRobin()
	pick := func(from []broach.Provider) netip.AddrPort {
		return from[b.Pick(broach.CallInfo{Random: 2}, from)].Addr
	}
	for i := range 8 {
		require.Equal(t, clustertest.AddrOf((2+i)%4), pick(from), "it begins at random and goes on")
	}
	require.Equal(t, clustertest.AddrOf(2), pick(from))
	require.Equal(t, clustertest.AddrOf(0), pick(from[:3]), "the next is gone")
	require.Equal(t, clustertest.AddrOf(1), pick(from))
	starts := map[netip.AddrPort]int{}
	for i := range uint64(1000) {
		b = broach.RoundRobin()
		starts[from[b.Pick(broach.CallInfo{Random: i}, from)].Addr]++
	}
	require.Len(t, starts, 4)
}

// When a provider goes, only its keys move, and they go to all others alike.
func TestStickyKeysMoveLittle(t *testing.T) {
	from := providers(5)
	moved := map[netip.AddrPort]int{}
	for k := range 10_000 {
		call := broach.CallInfo{Key: fmt.Sprint("customer", k)}
		before := from[broach.Sticky().Pick(call, from)].Addr
		require.Equal(t, before, from[broach.Sticky().Pick(call, from)].Addr)
		after := from[broach.Sticky().Pick(call, from[:4])].Addr
		if before != from[4].Addr {
			require.Equal(t, before, after)
			continue
		}
		moved[after]++
	}
	require.Len(t, moved, 4)
	for _, k := range moved {
		require.InDelta(t, 500, k, 80)
	}
}

// Whatever the random number is, the index is one of those that there are, also where an int has 32 bits.
func TestAnyRandomNumberPicksAProvider(t *testing.T) {
	for name, b := range map[string]broach.Balancer{
		"least loaded": broach.LeastLoaded(), "random": broach.Random(), "round robin": broach.RoundRobin(),
		"weighted": broach.Weighted(),
	} {
		for n := 1; n <= 5; n++ {
			for _, random := range []uint64{
				0, 1<<31 - 1, 1 << 31, 1<<31 + 1, 1<<32 - 1, 1 << 32, 1 << 63, 1<<63 | 1<<31, 1<<64 - 1,
			} {
				from := providers(n)
				i := b.Pick(broach.CallInfo{Random: random}, from)
				require.True(t, 0 <= i && i < n, "%s of %d by %#x: %d", name, n, random, i)
			}
		}
	}
}

func TestCallsAreSharedByTheProviders(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		caller := c.Start(0)
		startProvider(c, 1)
		suspect := startProvider(c, 2)
		require.NoError(c.T, caller.WaitFor(c.T.Context(), "which", 2))
		for _, calls := range clustertest.Tally(c, caller, 4000) {
			require.InEpsilon(c.T, 2000, calls, 0.04)
		}

		startProvider(c, 3)
		require.NoError(c.T, caller.WaitFor(c.T.Context(), "which", 3))
		require.InEpsilon(c.T, 100, clustertest.Tally(c, caller, 320)[3], 0.3, "no flood on the newcomer")
		require.InEpsilon(c.T, 1000, clustertest.Tally(c, caller, 3200)[3], 0.1, "its share")

		c.Net.Pause(suspect.Addr())
		c.Until(5*time.Second, "it is suspect", func() bool { return clustertest.Count(caller, broach.Suspect) == 1 })
		require.Zero(c.T, clustertest.Tally(c, caller, 160)[2])
		c.Until(5*time.Second, "it is offline", func() bool { return clustertest.Count(caller, broach.Offline) == 1 })
		require.Zero(c.T, clustertest.Tally(c, caller, 160)[2])
		c.Net.Resume(suspect.Addr())
	})
}
