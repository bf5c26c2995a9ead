package member

import (
	"net/netip"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// learner starts a process that is at a place and does not know that.
func (s *society) learner(i int, seeds ...int) *citizen {
	return s.joinAs(siteOf(i), netip.AddrPortFrom(netip.IPv4Unspecified(), 7000), seeds...)
}

// [MEM-25] A process that does not know which address to advertise *learns*: its Opens name `::` and its port. [...]
// who learns takes its observed, if
// [MEM-26] lets it, as its address.
func TestAddressIsLearntFromASeed(t *testing.T) {
	s := newSociety(t)
	all := s.grow(3)
	a := s.learner(7, 0)
	require.True(t, a.isLearning())
	require.Equal(t, netip.AddrPortFrom(netip.IPv6Unspecified(), 7000), Nowhere(a.cfg.Self))
	s.until(5*time.Millisecond, "all see it where it is", func() bool {
		for _, c := range all {
			if c.of(a) == nil {
				return false
			}
		}
		return a.Joined()
	})
	require.Equal(t, a.place, a.cfg.Self)
	s.run(time.Second)
	requireOneView(s)
}

// [MEM-25] The Offer to such an Open goes to its source, with token B 0. An Offer with token B 0 or with `::` as
// address B makes no link
func TestWhatALearnerHearsMakesNoLink(t *testing.T) {
	s := newSociety(t)
	a, x := s.learner(0, 50, 51), s.act(50, 0)
	hearing := a.learner.tokens[0]
	for _, observed := range []string{"127.0.0.1:7000", "0.0.0.0:7000", "224.0.0.1:7000", "255.255.255.255:7000"} {
		x.give(a, wire.Offer{Rank: 1, Echo: hearing, Key: x.key, Addr: x.addr,
			Observed: netip.MustParseAddrPort(observed)})
		require.True(t, a.isLearning(), "%v is of no use", observed)
	}
	x.give(a, wire.Offer{Rank: 1, Echo: hearing + 2, Key: x.key, Addr: x.addr, Observed: siteOf(8)})
	require.True(t, a.isLearning(), "nobody asked")
	link := x.confirm(a, 1)
	require.False(t, a.isOpen(link), "who learns is nobody's peer")

	x.give(a, wire.Offer{Rank: 1, Echo: hearing, Token: 5, Key: x.key, Addr: x.addr, Observed: siteOf(0)})
	require.Equal(t, siteOf(0), a.cfg.Self)
	require.Equal(t, wire.Digest(wire.Process{Addr: siteOf(0), Boot: a.boot}), a.digest)
	require.Empty(t, a.provings)
	x.give(a, wire.Offer{Rank: 1, Echo: hearing, Key: x.key, Addr: x.addr, Observed: siteOf(8)})
	require.Equal(t, siteOf(0), a.cfg.Self, "the first counts")
}

// [MEM-25] Meanwhile it answers an Open that names an address by its own Open, sent there [...]; one that names `::` by
// an Offer with `::` as address B.
func TestTwoLearnersLearnFromEachOther(t *testing.T) {
	s := newSociety(t)
	a, b := s.learner(0, 1), s.learner(1, 0)
	s.until(300*time.Millisecond, "both see the other",
		func() bool { return a.of(b) != nil && b.of(a) != nil && a.Joined() && b.Joined() })
	s.run(time.Second)
	requireOneView(s)
	require.Equal(t, []netip.AddrPort{a.place, b.place}, []netip.AddrPort{a.cfg.Self, b.cfg.Self})
}

// [MEM-25] The first node of a cluster may be its own seed without knowing that: it learns from the first that comes.
func TestTheFirstNodeLearnsFromTheSecond(t *testing.T) {
	for _, knows := range []bool{true, false} {
		s := newSociety(t)
		first := s.learner(0, 0)
		s.run(time.Minute)
		require.True(t, first.isLearning())
		second := s.join
		if !knows {
			second = s.learner
		}
		b := second(1, 0)
		s.until(time.Second, "both see the other", func() bool { return first.of(b) != nil && b.of(first) != nil })
		s.run(2 * time.Second)
		requireOneView(s)
		require.Equal(t, first.place, first.cfg.Self)
		require.Empty(t, first.joining.seeds, "it is not its own seed")
	}
}

// [MEM-25] whose token A is the same for all and drawn anew each 6 s: an answer to the one before counts, an older one
// does not.
func TestOnlyRecentAnswersTellTheAddress(t *testing.T) {
	s := newSociety(t)
	a, x := s.learner(0, 50), s.act(50, 0)
	first := a.learner.tokens[0]
	s.run(learnerFor)
	require.NotEqual(t, first, a.learner.tokens[0])
	require.True(t, a.openings[first])
	s.run(learnerFor)
	require.False(t, a.openings[first])
	x.give(a, wire.Offer{Rank: 1, Echo: first, Key: x.key, Addr: x.addr, Observed: siteOf(0)})
	require.True(t, a.isLearning())
}

// [MEM-32] Who has learnt asks on by such an Open, one peer or seed every 10 s [...]. It leaves as what it was, and
// joins as that, when two of different IPs, or all peers and seeds there are, one after the other observe the same
// other address and none the present one
func TestAnAddressThatHasChangedIsLearntAgain(t *testing.T) {
	s := newSociety(t)
	all := s.grow(5)
	a := s.learner(7, 0)
	s.run(3 * time.Second)
	require.Equal(t, Alive, all[1].of(a).state())
	old := a.cfg.Self
	// it is seen elsewhere from now on, and what goes to the old place comes for a while
	a.place, a.alias = siteOf(8), old
	took := s.until(25*time.Second, "all see it at its new place", func() bool {
		for _, c := range all {
			p := c.peers.byAddr[siteOf(8)]
			if p == nil || p.Boot != a.boot || p.state() != Alive {
				return false
			}
		}
		return true
	})
	t.Log("all see it after", took)
	require.Equal(t, Left, all[1].peers.byAddr[old].state())
	s.run(3 * time.Second)
	require.Equal(t, 5, a.in(Alive))
}

// [MEM-32] when two of different IPs: one that lies moves nobody, whatever it says how often.
func TestOneLiarMovesNobody(t *testing.T) {
	s := newSociety(t)
	s.grow(5)
	a := s.learner(7, 0)
	s.run(3 * time.Second)
	liar := s.act(50, 0)
	for range 1000 {
		liar.give(a, wire.Offer{Rank: 1, Echo: a.learner.tokens[0], Key: liar.key, Addr: liar.addr,
			Observed: siteOf(99)})
		s.run(30 * time.Millisecond)
		require.Equal(t, siteOf(7), a.cfg.Self)
	}
	require.Len(t, a.learner.answers, 1)
}

// [MEM-32] and when one does so after it has had its address, and no peer alive, for 500 ms: who learnt a wrong address
// first finds the right one.
func TestAWrongAddressIsGivenUp(t *testing.T) {
	for _, seeds := range [][]int{{0}, {0, 1}} {
		s := newSociety(t)
		s.grow(3)
		a, liar := s.learner(7, seeds...), s.act(50, 0)
		liar.give(a, wire.Offer{Rank: 1, Echo: a.learner.tokens[0], Key: liar.key, Addr: liar.addr,
			Observed: siteOf(99)})
		require.Equal(t, siteOf(99), a.cfg.Self)
		took := s.until(13*time.Second, "it is where it is",
			func() bool { return a.cfg.Self == siteOf(7) && a.Joined() })
		t.Log("found after", took)
		s.run(3 * time.Second)
		requireOneView(s)
	}
}

// [MEM-25] Its own Open that comes back tells it no address, but that the seed is itself: the first of a cluster has
// joined though it does not know its address, and learns from the next that comes.
func TestTheFirstNodeIsItsOwnSeed(t *testing.T) {
	for _, seeds := range [][]int{{0}, {0, 0}, {0, 50}} {
		s := newSociety(t)
		first := s.learner(0, seeds...)
		s.run(time.Second)
		isAlone := seeds[len(seeds)-1] == 0
		require.Equal(t, isAlone, first.Joined())
		require.Equal(t, !isAlone, first.IsUnanswered())
		require.True(t, first.isLearning(), "never from itself")
		s.run(time.Hour)
		require.Equal(t, isAlone, first.Joined())
		s.learner(1, 0)
		s.until(600*time.Millisecond, "all meet", s.allMeet)
		require.Equal(t, isAlone, first.Joined())
	}
}

// [MEM-25] and no other Open than its own says so: who knows the token of a question, as who was asked does, changes
// nothing with it.
func TestOnlyAQuestionThatWasAskedComesBack(t *testing.T) {
	s := newSociety(t)
	a := s.learner(0, 50)
	for i := range uint64(1000) {
		a.CameBack(s.now, CameBack{Token: a.learner.tokens[0], Number: 1000 + i})
	}
	s.run(time.Second)
	require.False(t, a.Joined())
	require.True(t, a.IsUnanswered())
}

// [MEM-18] Of the seeds where nobody is up to 8 are asked every 500 ms: a learner whose seed comes up late finds it as
// fast as others do.
func TestASeedThatComesLateIsAskedSoon(t *testing.T) {
	for _, late := range []time.Duration{time.Second, 30 * time.Second, time.Hour} {
		s := newSociety(t)
		s.learner(1, 0)
		s.learner(2, 0)
		s.run(late)
		s.learner(0, 0)
		t.Log("after", late, "all meet in", s.until(600*time.Millisecond, "all meet", s.allMeet))
	}
}
