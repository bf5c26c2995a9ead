package member

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"broach/internal/handshake"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// [MEM-13] with Help at each fourth from the 8th on, since what was asked or said may be lost. [MEM-15] A Suspect that
// begins none of this is answered all the same. Who cannot reach a member that others reach does not call it dead
// because of loss on its ways to them.
func TestLossDoesNotMakeTheUnreachableDead(t *testing.T) {
	for _, test := range []struct {
		size, cut, runs, most int
	}{{3, 1, 20, 2}, {8, 3, 60, 0}, {32, 24, 1, 3}} { // without these rules 28, 8 and 37
		s := newSociety(t)
		dead := 0
		for range test.runs {
			dead += s.deadThoughCut(test.size, test.cut, 0.25)
		}
		require.LessOrEqual(t, dead, test.most, "of %d", test.size)
	}
}

// deadThoughCut begins a cluster in which a member and some others do not reach each other, through loss, for 20 s. It
// returns how often one of them said that another is dead.
func (s *society) deadThoughCut(size, cut int, loss float64) (offline int) {
	s.members, s.mail, s.cut, s.loss = nil, nil, nil, 0
	for i := range size {
		s.join(i, 0)
	}
	s.until(20*time.Second, "all meet", s.allMeet)
	s.run(2 * time.Second)
	x, behind := s.members[1], s.members[2:2+cut]
	s.loss = loss
	s.cut = func(from, to *citizen) bool {
		return from == x && slices.Contains(behind, to) || to == x && slices.Contains(behind, from)
	}
	s.run(20 * time.Second)
	for _, c := range s.members {
		for _, e := range c.events {
			if e.News == NewsOffline {
				offline++
			}
		}
	}
	return offline
}

// [MEM-22] A probe for this begins, too, when [...] the echo of a Beat is 3 or more behind: the peer does not hear us.
func TestEchoOfBeatsStartsAProbe(t *testing.T) {
	s := newSociety(t)
	all := s.grow(3)
	a, b := all[0], all[1]
	link := a.linkTo(b)
	peer := a.of(b)
	s.until(10*time.Second, "beats have gone", func() bool { return peer.tie.beats.out >= 4 })
	s.forge(a, link, wire.Beat{Seq: peer.tie.beats.in + 1, Promise: 1000, Inc: 1, Digest: a.digest,
		Echo: peer.tie.beats.out - 2})
	require.Zero(t, peer.probe.tries)
	s.forge(a, link, wire.Beat{Seq: peer.tie.beats.in + 1, Promise: 1000, Inc: 1, Digest: a.digest,
		Echo: peer.tie.beats.out - 3})
	require.EqualValues(t, 1, peer.probe.tries)
	s.forge(a, link, wire.Nack{})
	require.EqualValues(t, 1, peer.probe.tries, "it lives, which is not the question")
	s.run(10 * time.Millisecond)
	require.False(t, peer.probe.isOn(), "it has answered")
}

// [MEM-10] A Beat with a seq not above the highest heard on its link is ignored.
func TestWhoWasForgottenByOneSideHearsItsBeats(t *testing.T) {
	for forgetful := range 2 {
		s := newSociety(t)
		all := s.grow(2)
		a, b := all[forgetful], all[1-forgetful]
		s.run(10 * time.Minute)
		s.cut = func(from, to *citizen) bool { return true }
		s.until(10*time.Second, "they lose each other", func() bool { return a.in(Offline)+b.in(Offline) == 2 })
		_, known := a.Dismiss(b.cfg.Self)
		require.True(t, known)
		s.cut = nil
		s.until(10*time.Second, "they meet", s.allMeet)
		s.run(time.Second)
		pings := 0
		s.spy = func(_ *citizen, _ netip.AddrPort, msg wire.Message, _ int) {
			if msg.Kind() == wire.KindPing {
				pings++
			}
		}
		s.run(time.Minute)
		require.Zero(t, pings, "nobody is late, and each hears the other")
		require.EqualValues(t, a.of(b).tie.beats.in, b.of(a).tie.beats.out)
		require.EqualValues(t, b.of(a).tie.beats.in, a.of(b).tie.beats.out)
	}
}

// Who is out of reach and then doubted is told to be out of reach again, and not up, when another vouches for it.
func TestTheUnreachableIsNeverToldAsUp(t *testing.T) {
	s := newSociety(t)
	all := s.grow(4)
	a, cut, liar := all[0], all[1], all[2]
	s.cut = func(from, to *citizen) bool { return from == cut && to == a || from == a && to == cut }
	s.until(10*time.Second, "it is out of reach", func() bool { return a.of(cut).unreachable })
	before := len(a.events)
	s.forge(a, a.linkTo(liar), wire.Suspect{Target: a.of(cut).target()})
	s.run(20 * time.Second)
	require.True(t, a.of(cut).unreachable)
	for _, e := range a.events[before:] {
		require.NotEqual(t, NewsUp, e.News)
	}
	p := a.of(cut)
	a.believe(s.now, p, doubted)
	a.revive(s.now, p)
	require.Equal(t, NewsUnreachable, a.out.Events[len(a.out.Events)-1].News)
	require.Equal(t, NewsUnreachable, p.view(nil).News())
}

// [MEM-22] That ends with a Pong, or when the peer is offline or has left: when it comes back, it is reached until it
// is found not to be.
func TestWhoLeftOutOfReachIsReachedWhenItComesBack(t *testing.T) {
	s := newSociety(t)
	all := s.grow(4)
	a, b := all[0], all[1]
	s.cut = func(from, to *citizen) bool { return from == a && to == b }
	s.until(10*time.Second, "it is out of reach", func() bool { return a.of(b).unreachable })
	b.Leave(s.now)
	s.collect(b)
	s.until(time.Second, "it has left", func() bool { return a.of(b).state() == Left })
	require.False(t, a.of(b).unreachable)
	s.cut, b.dead = nil, true
	s.run(time.Second)
	back := s.join(1, 0)
	s.until(time.Second, "it is back", func() bool { return a.of(back) != nil && a.of(back).state() == Alive })
	require.False(t, a.of(back).unreachable)
}

// [MEM-22] and when another link of it becomes the preferred one: the round that is under way went by one that may lead
// nowhere.
func TestTheUnreachableIsTriedByANewLinkAtOnce(t *testing.T) {
	s := newSociety(t)
	all := s.grow(4)
	a, b := all[0], all[1]
	s.cut = func(from, to *citizen) bool { return from == a && to == b }
	s.until(10*time.Second, "it is out of reach", func() bool { return a.of(b).unreachable })
	for rank, pings := range map[uint32]int{0: 0, 1 << 20: 1} {
		s.until(2*time.Second, "it waits for the next round", func() bool {
			p := a.of(b)
			return p.probe.at > a.moment(s.now.Add(pathEvery/2))
		})
		token := uint64(0xabc0 + rank)
		a.Made(s.now, a.of(b).Process, token, handshake.Order{Rank: rank})
		a.Tick(s.now)
		got := 0
		for _, m := range a.Take().Send {
			if _, isPing := m.Msg.(wire.Ping); isPing {
				require.Equal(t, token, m.Link, "no round begins by another")
				got++
			}
		}
		require.Equal(t, pings, got, "by a link of rank %d", rank)
	}
}
