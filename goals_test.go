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

// callable reports whether every live node would call a function at one node.
func (c *cluster) callable(function string, at *Node) bool {
	return !slices.ContainsFunc(c.live(), func(n *Node) bool {
		r := n.calling.view.Load().routes.get(function)
		return n != at && (r == nil || !slices.ContainsFunc(r.alive, func(d balance.Candidate) bool { return d.Link.ID.Boot == at.linking.wires.Process.Boot }))
	})
}
