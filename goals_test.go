package broach

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"broach/internal/balance"
	"broach/internal/race"
	"broach/internal/simnet"

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
//	G6   a cut heals: 3 s after 30 s, 90 s, 10 min           TestHalvesFindEachOther, TestHalvesFindWhoBeganBehindTheCut
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
//	G18  what was recorded changes nothing later             TestRecordedDatagramsRaiseNobody, TestReplaysChangeNothing
//	G19  two clusters that swap addresses stay two           TestClustersThatSwapAddresses
//	G20  one-way loss is a fact of the path                  TestOneWayLossIsAFactOfThePath
//
// G14, what the processors have to do, needs a real machine: bench/membership.

// lossy is the network of these tests, with a loss.
func lossy(loss float64) simnet.Link {
	return simnet.Link{Loss: loss, Delay: 300 * time.Microsecond, Jitter: 200 * time.Microsecond}
}

// sizes are those of the clusters that a goal is measured with. With the race detector, which makes them ten times as
// slow, a hundred nodes come together and die in TestClusterComesTogether and TestDeathIsKnown only.
func sizes() []int {
	switch {
	case *thousand:
		return []int{256}
	case testing.Short(), race.Enabled:
		return []int{3, 32}
	}
	return []int{3, 32, 100}
}

// aMinute is how long a cluster is watched. It is less with the race detector, where a minute of 32 nodes takes 5 s.
func aMinute() time.Duration {
	if race.Enabled {
		return 12 * time.Second
	}
	return time.Minute
}

// trials runs a trial on several clusters that have come together, and collects what it measures.
func trials(t *testing.T, nodes int, loss float64, trial func(c *cluster) []time.Duration) (took []time.Duration) {
	for _, seed := range seeds(clustersOf(nodes)) {
		inCluster(t, seed, func(c *cluster) {
			c.gather(seed, nodes, loss)
			took = append(took, trial(c)...)
			c.settle(3 * time.Second)
		})
	}
	return took
}

// clustersOf is how many clusters of a size are tried, unless -seed names one.
func clustersOf(nodes int) uint64 {
	switch {
	case nodes > 3:
		return 1
	case race.Enabled:
		return 3
	}
	return 10
}

// tooMany reports that a loss is left out: with the race detector the least and the greatest will do.
func tooMany(loss float64) bool { return race.Enabled && loss > 0 && loss < 0.25 }

// gather lets nodes come together, and waits until they are at rest. What happens then meets another phase of the
// heartbeats with each seed.
func (c *cluster) gather(seed uint64, nodes int, loss float64) {
	c.edit = func(cfg *Config) { cfg.RandSeed += seed << 20 }
	c.net.SetDefault(lossy(loss))
	c.startAll(nodes)
	c.settle(10 * time.Second)
	time.Sleep(3*time.Second + time.Duration(seed*211%1000)*time.Millisecond)
}

// requireWithin logs the median and the longest of what was measured, and requires that the longest keeps to the bound.
func requireWithin(t *testing.T, bound time.Duration, what string, took []time.Duration) {
	t.Helper()
	slices.Sort(took)
	t.Logf("%s: median %v, longest %v of %d, at most %v", what, took[len(took)/2], took[len(took)-1], len(took), bound)
	require.LessOrEqual(t, took[len(took)-1], bound, what)
}

// live are the nodes that were not closed.
func (c *cluster) live() []*Node {
	return slices.DeleteFunc(slices.Clone(c.nodes), (*Node).isClosed)
}

// settle waits until nothing is wrong with any view, and returns how long that took.
func (c *cluster) settle(limit time.Duration) time.Duration {
	c.t.Helper()
	start := time.Now()
	for {
		wrong := c.wrong()
		if len(wrong) == 0 {
			return time.Since(start)
		}
		require.Less(c.t, time.Since(start), limit, "%v", wrong)
		time.Sleep(time.Millisecond)
	}
}

// wrong says what is wrong with the first view that is: everybody must see exactly those who live, reach them, have
// nobody twice, and say of the others what all say.
func (c *cluster) wrong() (list []string) {
	living, dead := map[netip.AddrPort]*Node{}, map[netip.AddrPort]State{}
	for _, n := range c.live() {
		living[n.Addr()] = n
	}
	for _, n := range living {
		if list = n.wrong(living, dead); len(list) > 0 {
			break
		}
	}
	return list
}

// wrong is what is wrong with the view of one node. The first to say something of a dead address is right.
func (n *Node) wrong(living map[netip.AddrPort]*Node, dead map[netip.AddrPort]State) (list []string) {
	seen := map[netip.AddrPort]bool{n.Addr(): true}
	for _, p := range n.calling.view.Load().peers {
		other, lives := living[p.Addr]
		said, known := dead[p.Addr]
		switch {
		case seen[p.Addr]:
			list = append(list, fmt.Sprintf("%v has %v twice", n.Addr(), p.Addr))
		case lives && (p.Boot != other.linking.wires.Process.Boot || State(p.State) != Alive || p.Unreachable):
			list = append(list, fmt.Sprintf("%v says that %v is %v", n.Addr(), p.Addr, p.State))
		case !lives && (State(p.State) == Alive || State(p.State) == Suspect || known && State(p.State) != said):
			list = append(list, fmt.Sprintf("%v says that %v, which is dead, is %v", n.Addr(), p.Addr, p.State))
		case !lives:
			dead[p.Addr] = State(p.State)
			continue
		}
		seen[p.Addr] = true
	}
	if len(seen) < len(living) {
		list = append(list, fmt.Sprintf("%v sees %d of %d", n.Addr(), len(seen), len(living)))
	}
	return list
}

// say counts the live nodes that hold a process to be in a state.
func (c *cluster) say(of *Node, s State) int {
	k := 0
	for _, n := range c.live() {
		for _, p := range n.calling.view.Load().peers {
			if p.Boot == of.linking.wires.Process.Boot && State(p.State) == s {
				k++
			}
		}
	}
	return k
}

// report is an event as a user of one node is told it.
type report struct {
	by, about netip.AddrPort
	kind      EventKind
}

// watch collects the reports of members by all live nodes, until it is ended.
func (c *cluster) watch() (end func() []report) {
	var mu sync.Mutex
	var reports []report
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	for _, n := range c.live() {
		wg.Go(func() {
			for e := range n.Watch(ctx) {
				mu.Lock()
				reports = append(reports, report{n.Addr(), e.Member.Addr, e.Kind})
				mu.Unlock()
			}
		})
	}
	return func() []report { cancel(); wg.Wait(); return reports }
}

// deathsOf picks the reports that somebody is offline.
func deathsOf(reports []report) []report {
	return slices.DeleteFunc(slices.Clone(reports), func(r report) bool { return r.kind != MemberOffline })
}

// arrive starts node i with a function of its own, and then lets it join.
func (c *cluster) arrive(i int, function string, seed *Node) *Node {
	c.t.Helper()
	n := c.start(i)
	require.NoError(c.t, n.Register(function, func() string { return function }))
	require.NoError(c.t, n.Join(seed.Addr().String()))
	return n
}

// callable reports whether every live node would call a function at one node.
func (c *cluster) callable(function string, at *Node) bool {
	return !slices.ContainsFunc(c.live(), func(n *Node) bool {
		r := n.calling.view.Load().routes.get(function)
		return n != at && (r == nil || !slices.ContainsFunc(r.alive, func(d balance.Candidate) bool { return d.Link.ID.Boot == at.linking.wires.Process.Boot }))
	})
}
