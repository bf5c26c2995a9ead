package broach

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

var scheduleSeed = flag.Uint64("seed", 0, "replay one random schedule")

// A schedule does random things to a cluster: what can happen to processes and networks, in any order.
type schedule struct {
	*cluster
	rng     *rand.Rand
	live    map[int]*Node
	stopped map[int]func()    // how they go on
	well    map[int]time.Time // since when a node has run without a pause
	next    int               // index of the next node
	cuts    []rift
	did     []string
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
		(*schedule).kill, (*schedule).restart, (*schedule).join, (*schedule).leave, (*schedule).register, (*schedule).register,
		(*schedule).pause, (*schedule).goOn,
	}
	rough = append(slices.Clone(calm), (*schedule).cut, (*schedule).cutOneWay, (*schedule).heal, (*schedule).heal)
)

func newSchedule(c *cluster, size int, seed uint64) *schedule {
	s := &schedule{
		cluster: c, rng: rand.New(rand.NewPCG(seed, 1)), live: map[int]*Node{}, stopped: map[int]func(){}, well: map[int]time.Time{},
	}
	for range size {
		s.join()
	}
	s.until(10*time.Second, "all see all", s.settled)
	s.did = nil
	return s
}

func (s *schedule) note(format string, args ...any) {
	s.did = append(s.did, fmt.Sprintf(format, args...))
}

// some draws a live node that is not stopped.
func (s *schedule) some() int {
	ids := slices.DeleteFunc(slices.Sorted(maps.Keys(s.live)), func(i int) bool { return s.stopped[i] != nil })
	return ids[s.rng.IntN(len(ids))]
}

// begin starts a node. All others are its seeds: of a single one that dies at once, it could not recover.
func (s *schedule) begin(i int) {
	s.live[i], s.well[i] = s.cluster.start(i, slices.Sorted(maps.Keys(s.live))...), time.Now()
}

func (s *schedule) join() {
	s.note("join %d", s.next)
	s.begin(s.next)
	s.next++
}

// end ends a node, but not the last ones.
func (s *schedule) end(how func(*Node)) (i int) {
	if len(s.live)-len(s.stopped) < 3 {
		return -1
	}
	i = s.some()
	how(s.live[i])
	delete(s.live, i)
	return i
}

func (s *schedule) kill()  { s.note("kill %d", s.end(s.cluster.kill)) }
func (s *schedule) leave() { s.note("leave %d", s.end(func(n *Node) { n.Close() })) }

func (s *schedule) restart() {
	if i := s.end(s.cluster.kill); i >= 0 {
		s.note("restart %d", i)
		s.begin(i)
	}
}

func (s *schedule) register() {
	i := s.some()
	name := fmt.Sprint("f", s.rng.IntN(20))
	s.note("register %s at %d", name, i)
	if s.live[i].Register(name, func() {}) != nil {
		require.NoError(s.t, s.live[i].Unregister(name))
	}
}

// pause stops a node, as SIGSTOP does.
func (s *schedule) pause() {
	if len(s.live)-len(s.stopped) < 3 {
		return
	}
	i := s.some()
	s.note("pause %d", i)
	s.stopped[i] = s.cluster.stop(s.live[i])
}

// goOn ends all pauses.
func (s *schedule) goOn() {
	s.note("go on")
	for _, i := range slices.Sorted(maps.Keys(s.stopped)) {
		s.stopped[i]()
		s.well[i] = time.Now()
	}
	clear(s.stopped)
}

// halves divides the addresses that were ever used.
func (s *schedule) halves() (a, b []int) {
	for i := range s.next {
		if s.rng.IntN(2) == 0 {
			a = append(a, i)
		} else {
			b = append(b, i)
		}
	}
	return a, b
}

func (s *schedule) cut() {
	a, b := s.halves()
	s.note("cut %v from the rest", a)
	s.net.Cut(addrsAt(a), addrsAt(b))
	s.cuts = append(s.cuts, rift{parts: func(i, j int) bool { // who has come since is on no side
		return slices.Contains(a, i) && slices.Contains(b, j) || slices.Contains(b, i) && slices.Contains(a, j)
	}})
}

func (s *schedule) cutOneWay() {
	from, to := s.some(), s.some()
	s.note("cut %v to %v", from, to)
	s.net.CutOneWay(addrsAt([]int{from}), addrsAt([]int{to}))
	s.cuts = append(s.cuts, rift{parts: func(i, j int) bool { return i == from && j == to || i == to && j == from }})
}

func (s *schedule) heal() {
	s.note("heal")
	s.net.Heal()
	s.cuts = slices.DeleteFunc(s.cuts, func(r rift) bool { return !r.healed.IsZero() && time.Since(r.healed) > calmFor })
	for i := range s.cuts {
		if s.cuts[i].healed.IsZero() {
			s.cuts[i].healed = time.Now()
		}
	}
}

func addrsAt(nodes []int) (list []netip.AddrPort) {
	for _, i := range nodes {
		list = append(list, addrOf(i))
	}
	return list
}

// settled reports that every live node sees exactly the live ones, reaches them, and knows what they offer.
func (s *schedule) settled() bool {
	live := s.byBoot()
	for _, n := range s.live {
		seen := 0
		for _, p := range n.view.Load().peers {
			i, lives := live[p.boot]
			switch {
			case lives && p.state == Alive && !p.unreachable && len(p.functions) == len(s.live[i].offered.rows()):
				seen++
			case p.state == Alive || p.state == Suspect:
				return false
			}
		}
		if seen != len(s.live)-1 {
			return false
		}
	}
	return true
}

// byBoot finds the live nodes.
func (s *schedule) byBoot() map[uint64]int {
	live := make(map[uint64]int, len(s.live))
	for i, n := range s.live {
		live[n.process.Boot] = i
	}
	return live
}

// falseAlarms lists the live nodes that a live node speaks against, though nothing has come between them for a while.
func (s *schedule) falseAlarms(against func(*peerView) bool) (list []string) {
	live := s.byBoot()
	for i, n := range s.live {
		for _, p := range n.view.Load().peers {
			if j, lives := live[p.boot]; lives && against(p) && s.undisturbed(i, j) {
				list = append(list, fmt.Sprintf("%d says that %d is %v", i, j, p.state))
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
	if testing.Short() || raceEnabled {
		return map[int]uint64{3: 4, 32: 4}
	}
	return map[int]uint64{3: 8, 32: 4, 100: 1}
}

// Whatever happens to processes, at a loss of 5 %: no live node is doubted by another, and in the end everybody sees
// everybody. go test -run TestProcessesComeAndGo -seed 7 . replays one.
func TestProcessesComeAndGo(t *testing.T) {
	t.Parallel()
	testSchedules(t, calm, 0.05, func(p *peerView) bool { return p.state != Alive || p.unreachable })
}

// Whatever happens to processes and networks: nobody is called dead by who could reach him all the time, and once the network
// is whole again, everybody sees everybody within seconds.
func TestNetworksBreakAndHeal(t *testing.T) {
	t.Parallel()
	testSchedules(t, rough, 0.01, func(p *peerView) bool { return p.state == Offline })
}

// testSchedules runs schedules of things, with an eye on those who speak against others.
func testSchedules(t *testing.T, things []func(*schedule), loss float64, against func(*peerView) bool) {
	for size, trials := range scheduleSizes() {
		for _, seed := range seeds(trials) {
			inCluster(t, seed, func(c *cluster) {
				c.net.SetDefault(simnet.Link{Loss: loss, Delay: 300 * time.Microsecond, Jitter: 200 * time.Microsecond})
				s := newSchedule(c, size, seed)
				s.run(things, 30*time.Second, func() { require.Empty(t, s.falseAlarms(against), "seed %d: %v", seed, s.did) })
				s.goOn()
				s.heal()
				took := c.until(10*time.Second, fmt.Sprintf("all is right at last; seed %d: %v", seed, s.did), s.settled)
				t.Logf("%d nodes, %d events, settled after %v", len(s.live), len(s.did), took)
			})
		}
	}
}
