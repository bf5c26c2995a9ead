package broach

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// idleLinks makes links without calls in flight.
func idleLinks(n int) []*link {
	links := make([]*link, n)
	for i := range links {
		links[i] = &link{}
	}
	return links
}

// shares picks so many times and says how often each link was chosen. Each call is in flight for the next few picks.
func shares(r *route, picks int) map[*link]int {
	random := rand.New(rand.NewPCG(1, 2)).IntN
	chosen := map[*link]int{}
	flying := make([]*link, 8)
	for i := range picks {
		if done := flying[i%len(flying)]; done != nil {
			done.inflight.Add(-1)
		}
		l := r.pick(random, nil)
		l.inflight.Add(1)
		flying[i%len(flying)] = l
		chosen[l]++
	}
	return chosen
}

func TestEqualProvidersGetEqualShares(t *testing.T) {
	for _, n := range []int{2, 3, 10} {
		r := &route{alive: idleLinks(n)}
		for _, got := range shares(r, 100_000) {
			require.InEpsilon(t, 100_000/n, got, 0.04)
		}
	}
}

// Ties are broken by chance: providers without any call in flight get equal shares, too.
func TestTiesAreRandom(t *testing.T) {
	r, random := &route{alive: idleLinks(2)}, rand.New(rand.NewPCG(3, 4)).IntN
	chosen := map[*link]int{}
	for range 100_000 {
		chosen[r.pick(random, nil)]++
	}
	for _, got := range chosen {
		require.InEpsilon(t, 50_000, got, 0.04)
	}
}

func TestABusyProviderIsSpared(t *testing.T) {
	r, random := &route{alive: idleLinks(2)}, rand.New(rand.NewPCG(5, 6)).IntN
	r.alive[0].inflight.Store(3)
	for range 1000 {
		require.Same(t, r.alive[1], r.pick(random, nil))
	}
}

// Suspects are chosen only when nobody else is left, those already tried never.
func TestSuspectsAreTheLastResort(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8)).IntN
	alive, suspect := idleLinks(2), idleLinks(2)
	r := &route{alive: alive, doubtful: suspect, offline: 1}
	for range 1000 {
		require.Contains(t, alive, r.pick(random, nil))
		require.Same(t, alive[1], r.pick(random, alive[:1]))
		require.Contains(t, suspect, r.pick(random, alive))
	}
	require.Nil(t, r.pick(random, append(alive, suspect...)))
	require.Len(t, r.links(), 4)
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
