package balance

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// idle makes providers without calls in flight.
func idle(n int) []Candidate {
	list := make([]Candidate, n)
	for i := range list {
		list[i] = Candidate{Record: new(Record), Weight: 100}
	}
	return list
}

// recordsOf are what is known of providers.
func recordsOf(list []Candidate) (all []*Record) {
	for _, d := range list {
		all = append(all, d.Record)
	}
	return all
}

// choose picks a provider.
func choose(alive, doubtful []Candidate, random func(n int) int, tried ...*Record) *Record {
	return (&Chooser{Random: random, Tried: tried}).Pick(alive, doubtful)
}

// shares picks so many times and says how often each link was chosen. Each call is in flight for the next few picks.
func shares(alive []Candidate, picks int) map[*Record]int {
	random := rand.New(rand.NewPCG(1, 2)).IntN
	chosen := map[*Record]int{}
	flying := make([]*Record, 8)
	for i := range picks {
		if done := flying[i%len(flying)]; done != nil {
			done.Inflight.Add(-1)
		}
		l := choose(alive, nil, random)
		l.Inflight.Add(1)
		flying[i%len(flying)] = l
		chosen[l]++
	}
	return chosen
}

func TestEqualProvidersGetEqualShares(t *testing.T) {
	for _, n := range []int{2, 3, 10} {
		alive := idle(n)
		for _, got := range shares(alive, 100_000) {
			require.InEpsilon(t, 100_000/n, got, 0.04)
		}
	}
}

// Ties are broken by chance: providers without any call in flight get equal shares, too.
func TestTiesAreRandom(t *testing.T) {
	alive, random := idle(2), rand.New(rand.NewPCG(3, 4)).IntN
	chosen := map[*Record]int{}
	for range 100_000 {
		chosen[choose(alive, nil, random)]++
	}
	for _, got := range chosen {
		require.InEpsilon(t, 50_000, got, 0.04)
	}
}

func TestABusyProviderIsSpared(t *testing.T) {
	alive, random := idle(2), rand.New(rand.NewPCG(5, 6)).IntN
	alive[0].Record.Inflight.Store(3)
	for range 1000 {
		require.Same(t, alive[1].Record, choose(alive, nil, random))
	}
}

// Suspects are chosen only when nobody else is left, those already tried never.
func TestSuspectsAreTheLastResort(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8)).IntN
	alive, suspect := idle(2), idle(2)
	for range 1000 {
		require.Contains(t, recordsOf(alive), choose(alive, suspect, random))
		require.Same(t, alive[1].Record, choose(alive, suspect, random, alive[0].Record))
		require.Contains(t, recordsOf(suspect), choose(alive, suspect, random, recordsOf(alive)...))
	}
	require.Nil(t, choose(alive, suspect, random, recordsOf(slices.Concat(alive, suspect))...))
}

const draws = 100_000

// slowed makes providers of which the last takes so many times as long as the others.
func slowed(n, times int) []Candidate {
	r := idle(n)
	for i := range r {
		r[i].known = &experience{}
		r[i].known.note(10 * time.Millisecond)
	}
	r[n-1].known.latency.Store(int64(times) * int64(10*time.Millisecond))
	return r
}

// A provider ten times slower gets at most a fifth of an equal share, also of a caller that makes one call at a time;
// one that is as fast as the others but for chance gets its share.
func TestSlowProvidersGetLittle(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4)).IntN
	for _, n := range []int{2, 3, 10} {
		slow, even := slowed(n, 10), slowed(n, 1)
		even[0].known.latency.Store(int64(18 * time.Millisecond))
		got, gotEven := map[*Record]int{}, map[*Record]int{}
		for range draws {
			got[(&Chooser{Random: random, Now: time.Now()}).Pick(slow, nil)]++
			gotEven[(&Chooser{Random: random, Now: time.Now()}).Pick(even, nil)]++
		}
		require.Less(t, got[slow[n-1].Record], draws/n/5, "of %d", n)
		require.Positive(t, got[slow[n-1].Record], "or nobody would notice that it is faster again")
		for _, d := range even {
			require.InDelta(t, draws/n, gotEven[d.Record], 0.02*draws)
		}
	}
}

// Who comes gets a tenth of its share at first, all of it after 10 s.
func TestNewcomersWarmUp(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6)).IntN
	now := time.Now()
	r := slowed(4, 1)
	for i := range r {
		r[i].known.since = now.Add(-time.Hour)
	}
	for _, c := range []struct {
		age   time.Duration
		share float64
	}{{0, 0.1}, {500 * time.Millisecond, 0.1}, {5 * time.Second, 0.5}, {10 * time.Second, 1}, {time.Hour, 1}} {
		r[3].known.since = now.Add(-c.age)
		got := map[*Record]int{}
		for range draws {
			got[(&Chooser{Random: random, Now: now}).Pick(r, nil)]++
		}
		pairs := 0.5 * draws * c.share // it is one of the two in half of the draws, and takes half of those when warm
		require.InDelta(t, pairs*0.5, got[r[3].Record], 0.02*draws, "%v", c.age)
	}
}

func TestLatencyIsAMovingAverage(t *testing.T) {
	var e experience
	e.note(0)
	require.EqualValues(t, 1, e.latency.Load(), "a call was seen")
	for range 100 {
		e.note(time.Second)
	}
	require.InEpsilon(t, float64(time.Second), float64(e.latency.Load()), 0.01)
}
