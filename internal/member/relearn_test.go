package member

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"broach/internal/race"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// onHost puts a process on a host, where it has an address on the loopback too.
func (c *citizen) onHost(host int, local string) *citizen {
	c.host, c.local = host, netip.MustParseAddrPort(local)
	return c
}

// moveTo gives a process another address. What goes to the old one is lost.
func (c *citizen) moveTo(i int) { c.place = siteOf(i) }

// allMeet reports whether all processes have all others as members, at the addresses at which they are.
func (s *society) allMeet() bool {
	for _, c := range s.members {
		for _, other := range s.members {
			if c == other || c.dead || other.dead {
				continue
			}
			p := c.peers.byAddr[other.place]
			if p == nil || p.Boot != other.boot || p.state() != Alive {
				return false
			}
		}
	}
	return true
}

// [MEM-32] Who has learnt asks on by such an Open [...]; while it is isolated or no peer is alive for it, every 500 ms,
// those that are offline too: whoever gets another address is found again, be it the only seed, or one of two, or one
// whose seed is dead.
func TestWhoMovesIsFoundAgain(t *testing.T) {
	for _, test := range []struct {
		what  string
		nodes int
		who   int
		seeds []int
		dies  int // before that; 0: nobody
	}{
		{"the first of two, its own seed", 2, 0, []int{0}, 0}, {"the second of two", 2, 1, []int{0}, 0},
		{"the first of five, its own seed", 5, 0, []int{0}, 0}, {"another of five", 5, 3, []int{0}, 0},
		{"one whose first seed is dead", 3, 2, []int{1, 0}, 1}, {"one whose only seed is dead", 4, 3, []int{1}, 1},
		{"one of a hundred", 100, 50, []int{0}, 0}, {"the seed of a hundred", 100, 0, []int{0}, 0},
	} {
		if race.Sampled && test.nodes > 5 {
			continue
		}
		t.Run(test.what, func(t *testing.T) {
			s := newSociety(t)
			for i := range test.nodes {
				s.learner(i, test.seeds...)
			}
			s.until(10*time.Second, "all meet", s.allMeet)
			s.run(3 * time.Second)
			if test.dies > 0 {
				s.members[test.dies].dead = true
				s.run(time.Minute)
			}
			for i := range 3 {
				s.members[test.who].moveTo(200 + i)
				took := s.until(6*time.Second, "all meet again", s.allMeet)
				t.Log("all meet again after", took)
				s.run(time.Minute)
				require.True(t, s.allMeet())
			}
		})
	}
}

// [MEM-32] where only those with an address of the IP version of the present one count, if there is any: over the other
// one it is at another address wherever it is, which says something only where nobody could see it at the present one.
func TestAnotherIPVersionMovesNobody(t *testing.T) {
	for same, moves := range []bool{true, false, false} {
		t.Run(fmt.Sprint(same, " of its own"), func(t *testing.T) {
			s := newSociety(t)
			a := s.learner(7)
			a.adopt(s.now, siteOf(7))
			for i := range same {
				s.act(50+i, 0).confirm(a, 1)
			}
			other := netip.MustParseAddrPort("[fd00::7]:7000")
			for i := range 2 {
				x := s.act(60+i, 0)
				x.addr = netip.AddrPortFrom(netip.MustParseAddr(fmt.Sprintf("fd00::%d", i+1)), 7000)
				x.confirm(a, 1)
			}
			for _, p := range a.peers.sorted() {
				if p.Addr.Addr().Is6() {
					a.observed(s.now, Answered{Offer: wire.Offer{Addr: p.Addr, Observed: other}, From: p.Addr})
				}
			}
			require.Equal(t, moves, a.cfg.Self == other)
		})
	}
}

// [MEM-32] While none is, it answers two Opens a second as who learns, and contacts who then observes its present
// address: all may move at once, if names say where the seed is.
func TestAllMoveAtOnce(t *testing.T) {
	s := newSociety(t)
	for i := range 5 {
		s.learner(i, 0)
	}
	s.until(10*time.Second, "all meet", s.allMeet)
	s.run(3 * time.Second)
	for i, c := range s.members {
		c.moveTo(20 + i)
	}
	s.run(3 * time.Second)
	for _, c := range s.members {
		c.SetSeeds(s.now, []netip.AddrPort{siteOf(20)}, false)
	}
	t.Log("all meet again after", s.until(30*time.Second, "all meet again", s.allMeet))
}

// [MEM-32] and when one observes another than a loopback address, and the present one is that: the first process of a
// cluster may meet one of its own host before those of others, and a process may have learnt from a seed of its host by
// a name that leads to the loopback there.
func TestALoopbackAddressGivesWay(t *testing.T) {
	for _, remoteFirst := range []bool{false, true} {
		s := newSociety(t)
		first := s.learner(0, 0).onHost(0, "127.0.0.1:7000")
		local := func() *citizen {
			c := s.learner(1).onHost(0, "127.0.0.1:7001")
			c.SetSeeds(s.now, []netip.AddrPort{first.local}, false)
			return c
		}
		remote := func() *citizen { return s.learner(2, 0).onHost(1, "127.0.0.1:7000") }
		starts := []func() *citizen{local, remote}
		if remoteFirst {
			starts = []func() *citizen{remote, local}
		}
		for _, start := range starts {
			start()
			s.run(2 * time.Second)
		}
		t.Log("all meet after", s.until(4*time.Second, "all meet", s.allMeet))
		s.run(5 * time.Minute)
		require.True(t, s.allMeet())
		require.Equal(t, first.place, first.cfg.Self)
	}
}

// [MEM-32] To a loopback address it goes only while no peer is alive: who is seen on the loopback by a process that has
// nothing else keeps its address.
func TestALoopbackAddressTakesNoOthersPlace(t *testing.T) {
	s := newSociety(t)
	first := s.learner(0).onHost(0, "127.0.0.1:7000")
	remote := s.learner(2, 0).onHost(1, "127.0.0.1:7000")
	s.run(time.Second)
	bound := s.joinAs(netip.MustParseAddrPort("127.0.0.1:7001"), netip.MustParseAddrPort("127.0.0.1:7001")).onHost(0,
		"127.0.0.1:7001")
	bound.SetSeeds(s.now, []netip.AddrPort{first.local}, false)
	for i := range 300 {
		remote.dead = i > 100
		s.run(time.Second)
		require.Equal(t, siteOf(0), first.cfg.Self)
	}
	require.Equal(t, Alive, first.of(bound).state())
	require.Equal(t, Alive, bound.of(first).state())
}

// [MEM-32] every 500 ms, those that are offline too: an interface may be down for a while before it gets another
// address.
func TestWhoWasCutOffAndMovesIsFoundAgain(t *testing.T) {
	for _, nodes := range []int{2, 5} {
		s := newSociety(t)
		for i := range nodes {
			s.learner(i, 0)
		}
		s.until(time.Second, "all meet", s.allMeet)
		s.run(3 * time.Second)
		first := s.members[0]
		s.cut = func(from, to *citizen) bool { return from == first || to == first }
		s.run(time.Minute)
		require.Equal(t, nodes-1, first.in(Offline))
		first.moveTo(9)
		s.cut = nil
		t.Log("all meet again after", s.until(1100*time.Millisecond, "all meet again", s.allMeet))
	}
}

// [MEM-18] Offline peers are forgotten after 24 h: whoever has moved still knows those that it has not met at its new
// address.
func TestWhoMovesForgetsNobody(t *testing.T) {
	s := newSociety(t)
	a, b := s.learner(0, 0), s.learner(1, 0)
	s.until(time.Second, "both meet", s.allMeet)
	s.run(3 * time.Second)
	a.moveTo(9)
	s.cut = func(_, to *citizen) bool { return to == b && a.cfg.Self == a.place }
	s.until(5*time.Second, "it moves", func() bool { return a.cfg.Self == a.place })
	s.run(time.Hour)
	require.Equal(t, 1, a.in(Offline))
	s.cut = nil
	s.until(2*time.Second, "both meet again", s.allMeet)
	require.Equal(t, Alive, b.of(a).state())
}

// [MEM-18] A seed to which an Open was sent that comes to its own sender is this node: that stays so when it has learnt
// its address.
func TestASeedThatLeadsToALearner(t *testing.T) {
	s := newSociety(t)
	a := s.learner(0, 9)
	a.alias = siteOf(9)
	s.run(10 * time.Second)
	require.True(t, a.Joined())
	s.after = append(s.after, func(*citizen) { require.True(t, a.Joined()) })
	b := s.learner(1, 9)
	s.until(600*time.Millisecond, "both meet", func() bool { return a.of(b) != nil && b.of(a) != nil })
	s.run(time.Minute)
}

// [MEM-32] Whatever they do, they come together in the end, as long as a name says where the first is.
func TestLearnersComeAndGo(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			s := newSociety(t)
			s.rng = rand.New(rand.NewPCG(seed, seed))
			keepRules(s)
			places := 10
			for i := range 6 {
				s.learner(i, 0)
			}
			for range 12 {
				who := s.rng.IntN(6)
				c := s.members[who]
				switch s.rng.IntN(4) {
				case 0:
					c.dead = true
					s.run(time.Duration(s.rng.IntN(4000)) * time.Millisecond)
					s.members[who] = s.reborn(c.place)
				case 1:
					c.moveTo(places)
					places++
				case 2:
					s.loss = []float64{0, 0.1, 0.25}[s.rng.IntN(3)]
				}
				s.run(time.Duration(s.rng.IntN(2000)) * time.Millisecond)
				s.rename()
			}
			s.loss = 0
			t.Log("all meet after", s.until(20*time.Second, "all meet", s.allMeet))
			s.run(time.Minute)
			require.True(t, s.allMeet())
		})
	}
}

// reborn starts another learner at a place. It takes its number of the one before.
func (s *society) reborn(place netip.AddrPort) *citizen {
	c := s.joinAs(place, netip.AddrPortFrom(netip.IPv4Unspecified(), 7000))
	s.members = s.members[:len(s.members)-1]
	return c
}

// rename lets the name that all have as their seed lead to the first.
func (s *society) rename() {
	for _, c := range s.members {
		c.SetSeeds(s.now, []netip.AddrPort{s.members[0].place}, false)
	}
}
