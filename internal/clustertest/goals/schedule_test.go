package goals

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/race"

	"github.com/stretchr/testify/require"
)

var (
	scheduleSeed = flag.Uint64("seed", 0, "replay one random schedule")
	schedules    = flag.Uint64("schedules", 0, "try so many random schedules of each kind and size; 0: a few")
	scheduleSize = flag.Int("nodes", 0, "of schedules with so many nodes alone; 0: of all sizes")
)

// A schedule does random things to a cluster: what can happen to processes and networks, in any order. A node is the
// process at an address, which has a number.
type schedule struct {
	*clustertest.Cluster
	rng     *rand.Rand
	began   time.Time
	live    map[int]*broach.Node
	seedsOf map[int][]int     // of the live ones
	ended   []int             // where nobody is any more
	stopped map[int]func()    // how they go on
	missed  map[int]bool      // those of them who have missed that another moved: they have yet to meet it there
	lent    map[int]*lodger   // who has lost its address to another process, or to nobody
	well    map[int]time.Time // since when a node has run without a pause
	next    int               // index of the next node
	cuts    []rift
	loss    float64
	did     []string

	unsettled int // a live one that did not see the others as they are
}

// rift is a cut of the network, or was.
type rift struct {
	parts  func(i, j int) bool
	healed time.Time // zero: not yet
}

// calmFor is how long two nodes must have run undisturbed before a word of one against the other is a false alarm.
const calmFor = 3 * time.Second

// calm is what happens to processes, rough also what happens to networks.
var (
	calm = []func(*schedule){
		(*schedule).end, (*schedule).end, (*schedule).begin, (*schedule).comeBack, (*schedule).restart,
		(*schedule).restart, (*schedule).readdress, (*schedule).move, (*schedule).move,
		(*schedule).register, (*schedule).register, (*schedule).pause, (*schedule).goOn, (*schedule).takeOver,
		(*schedule).giveBack, (*schedule).slow,
	}
	rough = append(slices.Clone(calm), (*schedule).cut, (*schedule).cutOneWay, (*schedule).heal, (*schedule).heal)
)

func newSchedule(c *clustertest.Cluster, size int, seed uint64, loss float64) *schedule {
	s := &schedule{
		Cluster: c, rng: rand.New(rand.NewPCG(seed, 1)), began: time.Now(),
		live: map[int]*broach.Node{}, seedsOf: map[int][]int{}, stopped: map[int]func(){},
		missed: map[int]bool{},
		lent:   map[int]*lodger{}, well: map[int]time.Time{}, loss: loss,
	}
	s.setDelay(usualDelay)
	for range size {
		s.begin()
	}
	s.Until(10*time.Second, "all see all", s.settled)
	s.did = nil
	return s
}

// settled reports that every live node sees exactly the live ones, reaches them, and knows what they offer. It looks
// first at the one that did not see them the last time.
func (s *schedule) settled() bool {
	live := s.byVersion()
	if n := s.live[s.unsettled]; n != nil && !s.sees(n, live) {
		return false
	}
	for i, n := range s.live {
		if !s.sees(n, live) {
			s.unsettled = i
			return false
		}
	}
	return s.allKnowWhatIsOffered()
}

// sees reports that a node sees exactly the live ones and reaches them.
func (s *schedule) sees(n *broach.Node, live map[string]int) bool {
	seen := 0
	for _, m := range n.Members() {
		_, lives := live[m.Version]
		switch {
		case m.Self:
		case lives && m.State == broach.Alive && !m.Unreachable:
			seen++
		case m.State == broach.Alive || m.State == broach.Suspect:
			return false
		}
	}
	return seen == len(s.live)-1
}

// allKnowWhatIsOffered reports that every node knows as many functions of each live one as that has.
func (s *schedule) allKnowWhatIsOffered() bool {
	offered := map[netip.AddrPort]int{}
	for _, n := range s.live {
		offered[n.Addr()] = offersAt(n)[n.Addr()]
	}
	for _, n := range s.live {
		offers := offersAt(n)
		for addr, k := range offered {
			if offers[addr] != k {
				return false
			}
		}
	}
	return true
}

// byVersion finds the live nodes.
func (s *schedule) byVersion() map[string]int {
	live := make(map[string]int, len(s.live))
	for i, n := range s.live {
		live[s.Configs[n].Version] = i
	}
	return live
}

// offersAt counts the functions that each node offers, by what one of them knows.
func offersAt(n *broach.Node) map[netip.AddrPort]int {
	offers := map[netip.AddrPort]int{}
	for _, f := range n.Services() {
		for _, addr := range f.Providers {
			offers[addr]++
		}
	}
	return offers
}

// falseAlarms lists the live nodes that a live node speaks against, though nothing has come between them for a while.
func (s *schedule) falseAlarms(against func(broach.Member) bool) (list []string) {
	live := s.byVersion()
	for i, n := range s.live {
		if n.Addr() != clustertest.AddrOf(i) {
			s.well[i] = time.Now().Add(calmFor) // it has moved, and does not know that yet; then it has all to meet
		}
	}
	for i, n := range s.live {
		for _, m := range n.Members() {
			if j, lives := live[m.Version]; lives && !m.Self && m.Addr == s.live[j].Addr() && against(m) &&
				s.undisturbed(i, j) {
				list = append(list, fmt.Sprintf("%d says that %d is %v", i, j, m.State))
			}
		}
	}
	return list
}

// undisturbed reports that two nodes have known each other for a while, and nothing has come between them.
func (s *schedule) undisturbed(i, j int) bool {
	for _, k := range []int{i, j} {
		if s.stopped[k] != nil || time.Since(s.well[k]) < calmFor {
			return false
		}
	}
	return !slices.ContainsFunc(s.cuts, func(r rift) bool {
		return r.parts(i, j) && (r.healed.IsZero() || time.Since(r.healed) < calmFor)
	})
}

// run lets things happen for a while of virtual time, watching meanwhile.
func (s *schedule) run(things []func(*schedule), d time.Duration, watch func()) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		things[s.rng.IntN(len(things))](s)
		for range s.rng.IntN(20) {
			time.Sleep(100 * time.Millisecond)
			watch()
		}
	}
}

// seeds are those of the schedules to run.
func seeds(k uint64) []uint64 {
	if *scheduleSeed != 0 {
		return []uint64{*scheduleSeed}
	}
	list := make([]uint64, k)
	for i := range list {
		list[i] = uint64(i) + 1
	}
	return list
}

// scheduleSizes are the clusters of the random schedules, and how many of each are tried.
func scheduleSizes() map[int]uint64 {
	sizes := map[int]uint64{3: 20, 32: 20, 100: 1}
	switch {
	case race.Sampled:
		sizes = map[int]uint64{3: 4, 32: 1}
	case testing.Short():
		sizes = map[int]uint64{3: 4, 32: 2}
	}
	for size := range sizes {
		if *schedules > 0 {
			sizes[size] = *schedules
		}
		if *scheduleSize > 0 && size != *scheduleSize {
			delete(sizes, size)
		}
	}
	return sizes
}

// Whatever happens to processes, at a loss of 5 %: no live node is doubted by another, and in the end everybody sees
// everybody. One is replayed by
//
//	go test ./internal/clustertest/goals -run TestProcessesComeAndGo -nodes 32 -seed 7
func TestProcessesComeAndGo(t *testing.T) {
	t.Parallel()
	testSchedules(t, calm, 0.05, func(m broach.Member) bool { return m.State != broach.Alive || m.Unreachable })
}

// Whatever happens to processes and networks: nobody is called dead by who could reach him all the time, and once the
// network is whole again, everybody sees everybody within seconds.
func TestNetworksBreakAndHeal(t *testing.T) {
	t.Parallel()
	testSchedules(t, rough, 0.01, func(m broach.Member) bool { return m.State == broach.Offline })
}

// testSchedules runs schedules of things, with an eye on those who speak against others.
func testSchedules(t *testing.T, things []func(*schedule), loss float64, against func(broach.Member) bool) {
	for size, trials := range scheduleSizes() {
		for _, seed := range seeds(trials) {
			t.Run(fmt.Sprintf("%d nodes, seed %d", size, seed), func(t *testing.T) {
				clustertest.Run(t, seed, func(c *clustertest.Cluster) {
					s := newSchedule(c, size, seed, loss)
					defer s.goOn() // who is stopped cannot end
					s.run(things, 30*time.Second, func() { require.Empty(t, s.falseAlarms(against), "%v", s.did) })
					s.calmDown()
					took := c.Until(10*time.Second, fmt.Sprintf("all is right at last: %v", s.did), s.settled)
					t.Logf("%d nodes, %d events, settled after %v", len(s.live), len(s.did), took)
				})
			})
		}
	}
}
