package member

import (
	"net/netip"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// [MEM-11] A peer whose Beat has not come by its promise, and from which nothing came for 150 ms after that, [...] is
// probed: Ping every 60 ms, 6 times, with Help to 3 random peers at the 2nd, 4th and 6th.
// [MEM-13] A peer that answered none of 6 probes is suspect when a witness said Nack
// [MEM-14] A suspect that is not heard of for 300 ms is offline: Offline goes to all and to the target, 5 times at 60
// ms.
func TestDeadPeerIsProbedDoubtedGivenUp(t *testing.T) {
	s := newSociety(t)
	all := s.grow(8)
	a, victim := all[0], all[1]
	victim.dead = true
	sent := s.watch(a)
	a.Unanswered(s.now, a.of(victim).tie.token) // so that a is the first to probe
	s.collect(a)
	s.run(359 * time.Millisecond)
	require.Equal(t, Alive, a.of(victim).state())
	kinds := kindsOf(*sent)
	require.Equal(t, 6, kinds[wire.KindPing])
	require.Equal(t, 9, kinds[wire.KindHelp])
	s.run(250 * time.Millisecond)
	require.Equal(t, Suspect, a.of(victim).state())
	require.Equal(t, 5*7, kindsOf(*sent)[wire.KindSuspect])
	s.run(400 * time.Millisecond)
	require.Equal(t, Offline, a.of(victim).state())
	require.Equal(t, 5*7, kindsOf(*sent)[wire.KindOffline])
}

// [MEM-11] Two nodes that know no third one have no witness: they ping three times as often, and as many more Pings
// decide
func TestPairProbesMoreOften(t *testing.T) {
	s := newSociety(t)
	all := s.grow(2)
	a, victim := all[0], all[1]
	victim.dead = true
	sent := s.watch(a)
	s.run(10 * time.Millisecond) // what is under way arrives
	a.Unanswered(s.now, a.of(victim).tie.token)
	s.collect(a)
	s.run(359 * time.Millisecond)
	require.Equal(t, Alive, a.of(victim).state())
	require.Equal(t, 18, kindsOf(*sent)[wire.KindPing])
	s.run(40 * time.Millisecond)
	require.Equal(t, Suspect, a.of(victim).state())
}

// A death is known to all within a second or two, and no live node is given up, through loss as well.
func TestDetection(t *testing.T) {
	t.Parallel()
	for _, loss := range []float64{0, 0.05, 0.25} {
		for _, size := range []int{2, 3, 32} {
			s := newSociety(t)
			all := s.grow(size)
			s.loss = loss
			s.run(30 * time.Second)
			for _, c := range all {
				require.Zero(t, c.in(Offline), "a live node was given up")
			}
			all[1].dead = true
			took := s.until(4*time.Second, "all know", func() bool {
				for _, c := range all {
					if c != all[1] && c.of(all[1]).state() != Offline {
						return false
					}
				}
				return true
			})
			t.Logf("%d nodes, loss %v: known to all after %v", size, loss, took)
		}
	}
}

// [MEM-12] Help makes its receiver ping a target that is its peer, 4 times at 60 ms. It is answered with Vouch as soon
// as anything comes from the target, else with Nack; at once with Offline if the helper holds the target to be offline,
// or knows that it has left or was replaced.
func TestWitnessSaysWhatItSees(t *testing.T) {
	s := newSociety(t)
	all := s.grow(3)
	helper, asker, target := all[0], all[1], all[2]
	link := helper.linkTo(asker)
	ask := func(wait time.Duration) map[wire.Kind]int {
		sent := s.watch(helper)
		s.forge(helper, link, wire.Help{Target: helper.of(target).target()})
		s.run(wait)
		return kindsOf(*sent)
	}
	require.Equal(t, 1, ask(50 * time.Millisecond)[wire.KindVouch])
	s.cut = func(from, to *citizen) bool { return to == helper && from == target }
	kinds := ask(239 * time.Millisecond)
	require.Equal(t, 4, kinds[wire.KindPing])
	require.Zero(t, kinds[wire.KindNack])
	sent := s.watch(helper)
	s.run(time.Millisecond)
	require.Equal(t, 1, kindsOf(*sent)[wire.KindNack])
	s.cut, target.dead = nil, true
	s.run(5 * time.Second)
	gone := helper.of(target).target()
	require.Equal(t, 1, ask(time.Millisecond)[wire.KindOffline])
	s.join(2, 0)
	s.run(50 * time.Millisecond)
	require.Nil(t, helper.of(target), "another process is there")
	sent = s.watch(helper)
	s.forge(helper, link, wire.Help{Target: gone})
	require.Equal(t, 1, kindsOf(*sent)[wire.KindOffline])

}

// [MEM-13] or when there is nobody to ask. When no witness answers at all, 40 probes come first.
func TestLonelyProcessDoubtsItselfFirst(t *testing.T) {
	s := newSociety(t)
	all := s.grow(4)
	lonely := all[0]
	s.cut = func(from, to *citizen) bool { return from == lonely || to == lonely }
	sent := s.watch(lonely)
	s.run(2 * time.Second)
	require.Zero(t, lonely.in(Offline))
	s.run(5 * time.Second)
	require.Equal(t, 3, lonely.in(Offline))
	require.Zero(t, kindsOf(*sent)[wire.KindSuspect], "it told others of what is likely its own fault")
	for _, c := range all[1:] {
		require.Equal(t, Offline, c.of(lonely).state())
	}
}

// [MEM-17] Any datagram accepted on the link of a suspect or offline peer makes it alive again
func TestAnyDatagramRevives(t *testing.T) {
	s := newSociety(t)
	all := s.grow(3)
	a, b := all[0], all[1]
	s.cut = func(from, to *citizen) bool { return from == b || to == b }
	s.run(5 * time.Second)
	require.Equal(t, Offline, a.of(b).state())
	a.noteDatagram(s.now, a.of(b).tie.token, 1)
	require.Equal(t, Alive, a.of(b).state())
}

// [MEM-19] Leave makes the peer left: it is not contacted again, its boot id is not believed again, and it is forgotten
// after 60 s.
func TestLeaving(t *testing.T) {
	s := newSociety(t)
	all := s.grow(4)
	leaver := all[1]
	leaver.Leave(s.now)
	s.collect(leaver)
	s.run(time.Millisecond)
	require.True(t, leaver.dead, "all have answered")
	for _, c := range []*citizen{all[0], all[2], all[3]} {
		require.Equal(t, Left, c.of(leaver).state())
		require.Equal(t, NewsLeft, c.events[len(c.events)-1].News)
	}
	s.spy = func(_ *citizen, to netip.AddrPort, _ wire.Message, _ int) { require.NotEqual(t, leaver.cfg.Self, to) }
	s.run(50 * time.Second)
	require.Equal(t, Left, all[0].of(leaver).state())
	s.run(11 * time.Second)
	require.Nil(t, all[0].of(leaver))
}

// [MEM-30] Who is probing the target already takes Offline as a Nack.
func TestOfflineIsANackForWhoProbes(t *testing.T) {
	s := newSociety(t)
	a, x, y := s.join(0), s.act(1, 0), s.act(2, 0)
	link, other := x.confirm(a, 1), y.confirm(a, 1)
	p := a.peers.byAddr[x.addr]
	a.Unanswered(s.now, link)
	s.collect(a)
	s.run(100 * msec)
	y.say(a, other, wire.Offline{Target: p.target()})
	s.run(200 * msec)
	require.Equal(t, Alive, p.state(), "its six Pings come first")
	s.run(200 * msec)
	require.Equal(t, doubted, p.belief, "there is a witness")
}

// [MEM-30] A target that is suspect by the node's own probes is offline at once, if its Pings are in vain.
func TestOfflineEndsTheTimeToRefute(t *testing.T) {
	for trip, want := range map[time.Duration]State{msec: Offline, 400 * msec: Suspect} {
		s := newSociety(t)
		a, x, y := s.join(0), s.act(1, 0), s.act(2, 0)
		link, other := x.confirm(a, 1), y.confirm(a, 1)
		p := a.peers.byAddr[x.addr]
		p.noteTrip(trip)
		a.Unanswered(s.now, link)
		s.collect(a)
		s.run(100 * msec)
		y.say(a, other, wire.Nack{Target: p.target()})
		s.run(350 * msec)
		require.Equal(t, doubted, p.belief)
		y.say(a, other, wire.Offline{Target: p.target()})
		require.Equal(t, want, p.state(), "a round trip takes %v", trip)
	}
}
