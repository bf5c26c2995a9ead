package simnet_test

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// stream sends count numbered datagrams from alice to bob, gap apart, and returns what bob has heard a second after the
// last.
func stream(t *testing.T, seed uint64, l simnet.Link, count int, gap time.Duration) (all []arrival, s simnet.Stats) {
	t.Helper()
	simulate(t, seed, func(t *testing.T, n *simnet.Network) {
		n.SetLink(alice, bob, l)
		a, heard := listen(t, n, alice), recordAt(t, n, bob)
		for i := range count {
			send(t, a, bob, strconv.Itoa(i))
			time.Sleep(gap)
		}
		time.Sleep(time.Second)
		all, s = heard(), n.Stats()
	})
	return all, s
}

// number is which datagram of a stream this is.
func (a arrival) number(t *testing.T) int {
	t.Helper()
	i, err := strconv.Atoi(a.payload)
	require.NoError(t, err)
	return i
}

// requireShare accepts a count of events within five standard deviations of what their probability promises.
func requireShare(t *testing.T, probability float64, of, events int) {
	t.Helper()
	want := probability * float64(of)
	require.InDelta(t, want, events, 5*math.Sqrt(want*(1-probability)))
}

func TestLossIsAsFrequentAsSaid(t *testing.T) {
	const count = 5000
	for seed, loss := range []float64{0.01, 0.05, 0.25, 0.9} {
		all, s := stream(t, uint64(seed), simnet.Link{Loss: loss}, count, time.Microsecond)
		requireShare(t, loss, count, count-len(all))
		require.EqualValues(t, count-len(all), s.Lost)
	}
}

func TestLossOfOneAndOfZero(t *testing.T) {
	none, _ := stream(t, 1, simnet.Link{Loss: 1}, 1000, 0)
	require.Empty(t, none)
	all, _ := stream(t, 1, simnet.Link{}, 1000, 0)
	require.Len(t, all, 1000)
}

// "Each has a number, so that a link without jitter loses the same datagrams as one with it."
func TestOtherFaultsDoNotChangeWhatIsLost(t *testing.T) {
	plain, _ := stream(t, 5, simnet.Link{Loss: 0.3}, 1000, time.Millisecond)
	jitter, _ := stream(t, 5, simnet.Link{Loss: 0.3, Jitter: time.Second / 2}, 1000, time.Millisecond)
	require.Equal(t, payloads(plain), payloads(jitter))
}

func TestTwoDirectionsLoseDifferentDatagrams(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *simnet.Network) {
		n.SetDefault(simnet.Link{Loss: 0.5})
		a, b := listen(t, n, alice), listen(t, n, bob)
		heardA, heardB := record(a), record(b)
		for i := range 100 {
			send(t, a, bob, strconv.Itoa(i))
			send(t, b, alice, strconv.Itoa(i))
		}
		time.Sleep(time.Second)
		require.NotEqual(t, payloads(heardA()), payloads(heardB()))
	})
}

func TestALinkIsOneDirectionOfOnePair(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *simnet.Network) {
		a, b, c := listen(t, n, alice), listen(t, n, bob), listen(t, n, carol)
		heardA, heardB := record(a), record(b)
		n.SetLink(alice, bob, simnet.Link{Loss: 1})
		send(t, a, bob, "a to b")
		send(t, b, alice, "b to a")
		send(t, c, bob, "c to b")
		time.Sleep(time.Second)
		require.Equal(t, []string{"b to a"}, payloads(heardA()))
		require.Equal(t, []string{"c to b"}, payloads(heardB()))
	})
}

// "Zero means 100 µs."
func TestALinkWithoutDelayTakes100Microseconds(t *testing.T) {
	all, _ := stream(t, 1, simnet.Link{}, 1, 0)
	require.Equal(t, 100*time.Microsecond, all[0].at.Truncate(time.Microsecond))
}

// "Like a queue in a router it delays, but does not reorder."
func TestJitterDelaysWithoutReordering(t *testing.T) {
	const count, gap = 2000, 100 * time.Microsecond
	link := simnet.Link{Delay: 10 * time.Millisecond, Jitter: 20 * time.Millisecond}
	all, _ := stream(t, 1, link, count, gap)
	require.Len(t, all, count)
	shortest, longest := time.Hour, time.Duration(0)
	for i, a := range all {
		require.Equal(t, i, a.number(t))
		took := a.at - time.Duration(i)*gap
		shortest, longest = min(shortest, took), max(longest, took)
	}
	require.GreaterOrEqual(t, shortest, link.Delay)
	require.Less(t, shortest, link.Delay+link.Jitter)
	require.Greater(t, longest, link.Delay+link.Jitter*9/10)
	require.Less(t, longest, link.Delay+link.Jitter+2*time.Microsecond)
}

// "Chance that a datagram is held back for one to three times Delay+Jitter, while later ones overtake it."
func TestHeldDatagramsAreOvertaken(t *testing.T) {
	const count, gap = 5000, 100 * time.Microsecond
	const judged = count - 100 // nothing overtakes the last ones
	link := simnet.Link{Delay: 4 * time.Millisecond, Reorder: 0.2}
	all, _ := stream(t, 1, link, count, gap)
	require.Len(t, all, count)
	held, highest := 0, -1
	for _, a := range all {
		took := a.at - time.Duration(a.number(t))*gap
		isHeld := took > link.Delay+time.Microsecond
		if isHeld {
			require.GreaterOrEqual(t, took, 2*link.Delay)
			require.Less(t, took, 4*link.Delay+time.Microsecond)
			held++
		}
		if a.number(t) < judged {
			require.Equal(t, isHeld, a.number(t) < highest, "datagram %s", a.payload)
		}
		highest = max(highest, a.number(t))
	}
	requireShare(t, link.Reorder, count, held)
}

// "Chance that a datagram arrives a second time, up to Delay+Jitter after the first."
func TestDuplicatesArriveTwice(t *testing.T) {
	const count = 5000
	link := simnet.Link{Delay: 4 * time.Millisecond, Duplicate: 0.2}
	all, s := stream(t, 1, link, count, time.Millisecond)
	first := make(map[string]time.Duration)
	twice := make(map[string]bool)
	for _, a := range all {
		at, seen := first[a.payload]
		if !seen {
			first[a.payload] = a.at
			continue
		}
		require.False(t, twice[a.payload], "datagram %s came a third time", a.payload)
		require.LessOrEqual(t, a.at-at, link.Delay+time.Microsecond)
		twice[a.payload] = true
	}
	require.Len(t, first, count)
	requireShare(t, link.Duplicate, count, len(twice))
	require.EqualValues(t, len(twice), s.Duplicated)
}

// "MTU is the largest payload in bytes; larger ones vanish."
func TestPayloadsLargerThanTheMTUVanish(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *simnet.Network) {
		n.SetDefault(simnet.Link{MTU: 1200})
		a, heard := listen(t, n, alice), recordAt(t, n, bob)
		fits, tooLarge := strings.Repeat("x", 1200), strings.Repeat("x", 1201)
		send(t, a, bob, tooLarge)
		send(t, a, bob, fits)
		time.Sleep(time.Second)
		require.Equal(t, []string{fits}, payloads(heard()))
		require.EqualValues(t, 1, n.Stats().TooLarge)
	})
}

// A link is of one direction, and may change at any time.
func TestTheMTUOfOneDirectionMayChange(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *simnet.Network) {
		a, b := listen(t, n, alice), listen(t, n, bob)
		atBob, atAlice := record(b), record(a)
		jumbo := strings.Repeat("x", 8972)
		for i, mtu := range []int{0, 8971, 8972} {
			n.SetLink(alice, bob, simnet.Link{MTU: mtu})
			send(t, a, bob, jumbo)
			send(t, b, alice, jumbo)
			time.Sleep(time.Second)
			require.Len(t, atAlice(), i+1, "the way back has no limit")
		}
		require.Len(t, atBob(), 2)
		require.EqualValues(t, 1, n.Stats().TooLarge)
	})
}
