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
	rng  *rand.Rand
	live map[int]*Node
	born map[int]time.Time
	next int // index of the next node
	did  []string
}

// calm is what happens to processes, rough also what happens to networks.
var (
	calm  = []func(*schedule){(*schedule).kill, (*schedule).restart, (*schedule).join, (*schedule).leave, (*schedule).register, (*schedule).register}
	rough = append(slices.Clone(calm), (*schedule).cut, (*schedule).cutOneWay, (*schedule).heal, (*schedule).heal)
)

func newSchedule(c *cluster, size int, seed uint64) *schedule {
	s := &schedule{cluster: c, rng: rand.New(rand.NewPCG(seed, 1)), live: map[int]*Node{}, born: map[int]time.Time{}}
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

// some draws a live node.
func (s *schedule) some() int {
	ids := slices.Sorted(maps.Keys(s.live))
	return ids[s.rng.IntN(len(ids))]
}

// begin starts a node. All others are its seeds: of a single one that dies at once, it could not recover.
func (s *schedule) begin(i int) {
	s.live[i], s.born[i] = s.cluster.start(i, slices.Sorted(maps.Keys(s.live))...), time.Now()
}

func (s *schedule) join() {
	s.note("join %d", s.next)
	s.begin(s.next)
	s.next++
}

// end stops a node, but not the last ones.
func (s *schedule) end(how func(*Node)) (i int) {
	if len(s.live) < 3 {
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

// halves divides the addresses that were ever used.
func (s *schedule) halves() (a, b []netip.AddrPort) {
	for i := range s.next {
		if s.rng.IntN(2) == 0 {
			a = append(a, addrOf(i))
		} else {
			b = append(b, addrOf(i))
		}
	}
	return a, b
}

func (s *schedule) cut() {
	a, b := s.halves()
	s.note("cut %v from the rest", a)
	s.net.Cut(a, b)
}

func (s *schedule) cutOneWay() {
	from, to := addrOf(s.some()), addrOf(s.some())
	s.note("cut %v to %v", from, to)
	s.net.CutOneWay([]netip.AddrPort{from}, []netip.AddrPort{to})
}

func (s *schedule) heal() {
	s.note("heal")
	s.net.Heal()
}

// settled reports that every live node sees exactly the live ones, reaches them, and knows what they offer.
func (s *schedule) settled() bool {
	for _, n := range s.live {
		seen := 0
		for _, p := range n.view.Load().peers {
			switch {
			case p.state == Alive && !p.unreachable && s.offers(p):
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

// offers reports that a peer is a live process, and offers what its view says.
func (s *schedule) offers(p peerView) bool {
	for _, n := range s.live {
		if n.addr == p.addr {
			return n.boot == p.boot && len(p.functions) == len(n.offered.rows())
		}
	}
	return false
}

// falseAlarms lists live nodes that a live node calls dead, though both have known each other for a while.
func (s *schedule) falseAlarms() (list []string) {
	for i, n := range s.live {
		for j, other := range s.live {
			if time.Since(s.born[i]) < 3*time.Second || time.Since(s.born[j]) < 3*time.Second {
				continue
			}
			for _, p := range n.view.Load().peers {
				if p.boot == other.boot && (p.state != Alive || p.unreachable) {
					list = append(list, fmt.Sprintf("%d says that %d is %v", i, j, p.state))
				}
			}
		}
	}
	return list
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

// Whatever happens to processes, at a loss of 5 %: no live node is called dead by another, and in the end everybody sees
// everybody. go test -run TestProcessesComeAndGo -seed 7 . replays one.
func TestProcessesComeAndGo(t *testing.T) {
	t.Parallel()
	for _, size := range []int{3, 32} {
		for _, seed := range seeds(4) {
			inCluster(t, seed, func(c *cluster) {
				c.net.SetDefault(simnet.Link{Loss: 0.05, Delay: 300 * time.Microsecond, Jitter: 200 * time.Microsecond})
				s := newSchedule(c, size, seed)
				s.run(calm, 30*time.Second, func() { require.Empty(t, s.falseAlarms(), "seed %d: %v", seed, s.did) })
				took := c.until(10*time.Second, fmt.Sprintf("all is right at last; seed %d: %v", seed, s.did), s.settled)
				t.Logf("%d nodes, %d events, settled after %v", len(s.live), len(s.did), took)
			})
		}
	}
}

// Whatever happens to processes and networks: once the network is whole again, everybody sees everybody within seconds.
func TestNetworksBreakAndHeal(t *testing.T) {
	t.Parallel()
	for _, size := range []int{3, 32} {
		for _, seed := range seeds(4) {
			inCluster(t, seed, func(c *cluster) {
				c.net.SetDefault(simnet.Link{Loss: 0.01, Delay: 300 * time.Microsecond, Jitter: 200 * time.Microsecond})
				s := newSchedule(c, size, seed)
				s.run(rough, 60*time.Second, func() {})
				c.net.Heal()
				took := c.until(10*time.Second, fmt.Sprintf("all is right at last; seed %d: %v", seed, s.did), s.settled)
				t.Logf("%d nodes, %d events, settled after %v", len(s.live), len(s.did), took)
			})
		}
	}
}
