package goals

import (
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/race"

	"github.com/stretchr/testify/require"
)

// What membership promises, with the default settings, and the test that holds it to that. Each test logs the median
// and the longest of what it measures. All of it is virtual time: what the processors need comes on top, which
// bench/membership measures.
//
//	G1   a death is known to all: 1.5 s                      TestDeathIsKnown
//	G2   the same at a loss of 5, 10, 25 %: 1.5, 1.5, 2.5 s  TestDeathIsKnown
//	G3   60 s at a loss of up to 25 %: no false alarm        TestNobodyIsCalledDeadInQuiet
//	G4   all join at once: 0.3 s, with 100 nodes 1 s         TestAllJoinAtOnce
//	G5   one more joins, with its table: 20 ms               TestOneMoreJoins
//	G6   a cut heals: 3 s after 30 s, 90 s, 10 min           TestHalvesFindEachOther,
//	                                                         TestHalvesFindWhoBeganBehindTheCut
//	G7   a node leaves, and is not taken for dead: 20 ms     TestLeaveIsKnown
//	G8   a restart at the same address: 20 ms                TestRestartReplacesTheTable
//	G9   a restart at another address: 20 ms                 TestComesBackElsewhere
//	G10  the seed restarts and is given no seeds: 1.5 s      TestSeedRestartsAlone
//	G11  a stopped process: dead in 1.5 s, back in 50 ms     TestStoppedNode
//	G12  4 of 32 that stop and go: no false alarm elsewhere  TestSickNodesBlameNobody
//	G13  25 datagrams and 2.5 KB a second and node           TestQuietCostsLittle
//	G15  a table changes: 10 ms; 10,000 functions: 1 s       TestTableChangeIsKnown
//	G16  a clock is set: nothing happens                     TestTheWallClockIsNotUsed
//	G17  seeds down at the start: 1 s after one is up        TestSeedsDownAtTheStart
//	G18  what was recorded changes nothing later             TestRecordedDatagramsRaiseNobody,
//	                                                         TestReplaysChangeNothing
//	G19  two clusters that swap addresses stay two           TestClustersThatSwapAddresses
//	G20  one-way loss is a fact of the path                  TestOneWayLossIsAFactOfThePath
//
// G14, what the processors have to do, needs a real machine: bench/membership.

// sizes are those of the clusters that a goal is measured with. Where a test takes a sample, as with the race detector,
// which makes it ten times as slow, sixteen nodes stand for 32 and for a hundred: they have a quarter of the pairs that
// 32 have. A hundred come together, and see one of them die, in TestClusterComesTogether only.
func sizes() []int {
	switch {
	case *thousand:
		return []int{256}
	case race.Sampled:
		return []int{3, 16}
	case testing.Short():
		return []int{3, 32}
	}
	return []int{3, 32, 100}
}

// aMinute is how long a cluster is watched. It is less in a sample: a minute of 32 nodes takes 5 s
// with the race detector.
func aMinute() time.Duration {
	if race.Sampled {
		return 12 * time.Second
	}
	return time.Minute
}

// trials runs a trial on several clusters that have come together, and collects what it measures.
func trials(
	t *testing.T, nodes int, loss float64, trial func(c *clustertest.Cluster) []time.Duration,
) (took []time.Duration) {
	for _, seed := range seeds(clustersOf(nodes)) {
		clustertest.Run(t, seed, func(c *clustertest.Cluster) {
			c.Gather(seed, nodes, loss)
			took = append(took, trial(c)...)
			c.Settle(3 * time.Second)
		})
	}
	return took
}

// clustersOf is how many clusters of a size are tried, unless -seed names one.
func clustersOf(nodes int) uint64 {
	switch {
	case nodes > 3:
		return 1
	case race.Sampled:
		return 3
	}
	return 10
}

// tooMany reports that a loss is left out: in a sample the least and the greatest will do.
func tooMany(loss float64) bool { return race.Sampled && loss > 0 && loss < 0.25 }

// arrive starts node i with a function of its own, and then lets it join.
func arrive(c *clustertest.Cluster, i int, function string, seed *broach.Node) *broach.Node {
	c.T.Helper()
	n := c.Start(i)
	require.NoError(c.T, n.Register(function, func() string { return function }))
	require.NoError(c.T, n.Join(seed.Addr().String()))
	return n
}
