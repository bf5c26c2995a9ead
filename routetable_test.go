package broach

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// idle makes providers without calls in flight.
func idle(n int) []candidate {
	list := make([]candidate, n)
	for i := range list {
		list[i] = candidate{record: new(record), weight: weightUnsaid}
	}
	return list
}

// recordsOf are what is known of providers.
func recordsOf(list []candidate) (all []*record) {
	for _, d := range list {
		all = append(all, d.record)
	}
	return all
}

// choose picks a provider of a route that has been known for long.
func choose(r *route, random func(n int) int, tried ...*record) *record {
	return r.pick(&chooser{random: random, tried: tried})
}

// shares picks so many times and says how often each link was chosen. Each call is in flight for the next few picks.
func shares(r *route, picks int) map[*record]int {
	random := rand.New(rand.NewPCG(1, 2)).IntN
	chosen := map[*record]int{}
	flying := make([]*record, 8)
	for i := range picks {
		if done := flying[i%len(flying)]; done != nil {
			done.inflight.Add(-1)
		}
		l := choose(r, random)
		l.inflight.Add(1)
		flying[i%len(flying)] = l
		chosen[l]++
	}
	return chosen
}

func TestEqualProvidersGetEqualShares(t *testing.T) {
	for _, n := range []int{2, 3, 10} {
		r := &route{alive: idle(n)}
		for _, got := range shares(r, 100_000) {
			require.InEpsilon(t, 100_000/n, got, 0.04)
		}
	}
}

// Ties are broken by chance: providers without any call in flight get equal shares, too.
func TestTiesAreRandom(t *testing.T) {
	r, random := &route{alive: idle(2)}, rand.New(rand.NewPCG(3, 4)).IntN
	chosen := map[*record]int{}
	for range 100_000 {
		chosen[choose(r, random)]++
	}
	for _, got := range chosen {
		require.InEpsilon(t, 50_000, got, 0.04)
	}
}

func TestABusyProviderIsSpared(t *testing.T) {
	r, random := &route{alive: idle(2)}, rand.New(rand.NewPCG(5, 6)).IntN
	r.alive[0].record.inflight.Store(3)
	for range 1000 {
		require.Same(t, r.alive[1].record, choose(r, random))
	}
}

// Suspects are chosen only when nobody else is left, those already tried never.
func TestSuspectsAreTheLastResort(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8)).IntN
	alive, suspect := idle(2), idle(2)
	r := &route{alive: alive, doubtful: suspect, offline: 1}
	for range 1000 {
		require.Contains(t, recordsOf(alive), choose(r, random))
		require.Same(t, alive[1].record, choose(r, random, alive[0].record))
		require.Contains(t, recordsOf(suspect), choose(r, random, recordsOf(alive)...))
	}
	require.Nil(t, choose(r, random, recordsOf(r.candidates())...))
	require.Len(t, r.candidates(), 4)
}

// tally counts calls by the number of the node that answers them.
func tally(c *cluster, caller *Node, calls int) map[int]int {
	var mu sync.Mutex
	got := map[int]int{}
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range calls / 16 {
				i, err := Call[int](context.Background(), caller.Caller("which"))
				require.NoError(c.t, err)
				mu.Lock()
				got[i]++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return got
}

// startProvider starts node i, which offers its number.
func startProvider(c *cluster, i int) *Node {
	n := c.start(i, 0)
	require.NoError(c.t, n.Register("which", func() int { return i }))
	return n
}

func TestCallsAreSharedByTheProviders(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		caller := c.start(0)
		startProvider(c, 1)
		suspect := startProvider(c, 2)
		require.NoError(c.t, caller.WaitFor(c.t.Context(), "which", 2))
		for _, calls := range tally(c, caller, 4000) {
			require.InEpsilon(c.t, 2000, calls, 0.04)
		}

		startProvider(c, 3)
		require.NoError(c.t, caller.WaitFor(c.t.Context(), "which", 3))
		require.InEpsilon(c.t, 100, tally(c, caller, 320)[3], 0.3, "no flood on the newcomer")
		require.InEpsilon(c.t, 1000, tally(c, caller, 3200)[3], 0.1, "its share")

		c.net.Pause(suspect.Addr())
		c.until(5*time.Second, "it is suspect", func() bool { return count(caller, Suspect) == 1 })
		require.Zero(c.t, tally(c, caller, 160)[2])
		c.until(5*time.Second, "it is offline", func() bool { return count(caller, Offline) == 1 })
		require.Zero(c.t, tally(c, caller, 160)[2])
		c.net.Resume(suspect.Addr())
	})
}
