package broach

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// onHost puts a process on a host, where it has an address on the loopback too.
func (c *citizen) onHost(host int, local string) *citizen {
	c.host, c.local = host, netip.MustParseAddrPort(local)
	return c
}

// moveTo gives a process another address. What goes to the old one is lost.
func (c *citizen) moveTo(i int) { c.place = addrOf(i) }

// allMeet reports whether all processes have all others as members, at the addresses at which they are.
func (s *society) allMeet() bool {
	for _, c := range s.members {
		for _, other := range s.members {
			if c == other || c.dead || other.dead {
				continue
			}
			p := c.peers.byAddr[other.place]
			if p == nil || p.boot != other.boot || p.state != Alive {
				return false
			}
		}
	}
	return true
}

// [MEM-25] Who has learnt asks on by such an Open [...], every 500 ms while it is isolated or has no peer that is alive: whoever gets another address
// is found again, be it the only seed, or one of two, or one whose seed is dead.
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
				took := s.until(15*time.Second, "all meet again", s.allMeet)
				t.Log("all meet again after", took)
				s.run(time.Minute)
				require.True(t, s.allMeet())
			}
		})
	}
}

// [MEM-25] While it has no peer that is alive, two Opens a second that name an address are answered as by who learns: all may move at once, if names
// say where the seed is.
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
		c.setSeeds(s.now, []netip.AddrPort{addrOf(20)}, false)
	}
	t.Log("all meet again after", s.until(30*time.Second, "all meet again", s.allMeet))
}

// [MEM-25] Another address takes the place of a loopback one at the first answer: the first process of a cluster may meet one of its own host before
// those of others, and a process may have learnt from a seed of its host by a name that leads to the loopback there.
func TestALoopbackAddressGivesWay(t *testing.T) {
	for _, remoteFirst := range []bool{false, true} {
		s := newSociety(t)
		first := s.learner(0).onHost(0, "127.0.0.1:7000")
		local := func() *citizen {
			c := s.learner(1).onHost(0, "127.0.0.1:7001")
			c.setSeeds(s.now, []netip.AddrPort{first.local}, false)
			return c
		}
		remote := func() *citizen { return s.learner(2, 0).onHost(1, "127.0.0.1:7000") }
		starts := []func() *citizen{local, remote}
		if remoteFirst {
			starts = []func() *citizen{remote, local}
		}
		for _, start := range starts {
			start()
			s.run(5 * time.Second)
		}
		t.Log("all meet after", s.until(30*time.Second, "all meet", s.allMeet))
		s.run(5 * time.Minute)
		require.True(t, s.allMeet())
		require.Equal(t, first.place, first.cfg.self)
	}
}

// [MEM-25] and never the other way round while a peer is alive: who is seen on the loopback by a process that has nothing else keeps its address.
func TestALoopbackAddressTakesNoOthersPlace(t *testing.T) {
	s := newSociety(t)
	first := s.learner(0).onHost(0, "127.0.0.1:7000")
	s.learner(2, 0).onHost(1, "127.0.0.1:7000")
	s.run(time.Second)
	bound := s.joinAs(netip.MustParseAddrPort("127.0.0.1:7001"), netip.MustParseAddrPort("127.0.0.1:7001")).onHost(0, "127.0.0.1:7001")
	bound.setSeeds(s.now, []netip.AddrPort{first.local}, false)
	for range 300 {
		s.run(time.Second)
		require.Equal(t, addrOf(0), first.cfg.self)
	}
	require.Equal(t, Alive, first.of(bound).state)
	require.Equal(t, Alive, bound.of(first).state)
}
