package member

import (
	"net/netip"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// [MEM-10] Each node sends Beats to the peers that have waited longest, at most one per interval (1 s) and peer and 20
// a second in all, spread evenly.
func TestBeatsKeepToTheBudget(t *testing.T) {
	t.Parallel()
	for _, size := range []int{2, 5, 21, 40} {
		s := newSociety(t)
		all := s.grow(size)
		var at []time.Time
		s.spy = func(from *citizen, _ netip.AddrPort, msg wire.Message, _ int) {
			if _, ok := msg.(wire.Beat); ok && from == all[0] {
				at = append(at, s.now)
			}
		}
		s.run(30 * time.Second)
		perSecond := min(size-1, 20)
		require.InDelta(t, 30*perSecond, len(at), float64(perSecond)/10+2, "%d nodes", size)
		for i := 1; i < len(at); i++ {
			require.InDelta(t, time.Second/time.Duration(perSecond), at[i].Sub(at[i-1]), float64(2*time.Millisecond))
		}
		quiet := s.count
		s.run(30 * time.Second)
		t.Logf("%d nodes: %.1f datagrams a second and node", size, float64(s.count-quiet)/60/float64(size))
	}
}

// [MEM-10] A Beat with a seq not above the highest heard is ignored.
// [MEM-20] A Beat whose digest differs from the receiver's own, twice in a row, is answered with List.
func TestViewsThatDifferAreMended(t *testing.T) {
	s := newSociety(t)
	all := s.grow(3)
	a, b := all[0], all[1]
	link := a.linkTo(b)
	sent := s.watch(a)
	odd := func(seq uint32) { s.forge(a, link, wire.Beat{Seq: seq, Promise: 1000, Digest: a.digest + 1}) }
	odd(100)
	odd(100)
	odd(99)
	require.Empty(t, *sent)
	odd(101)
	require.Equal(t, map[wire.Kind]int{wire.KindList: 1}, kindsOf(*sent))
	odd(102)
	odd(103)
	require.Len(t, *sent, 1, "more than one a second")

	s.spy = nil
	a.peers.removePeer(a.of(all[2])) // as if they had never met
	all[2].peers.removePeer(all[2].of(a))
	delete(a.links, all[2].boot)
	delete(all[2].links, a.boot)
	a.digest ^= wire.Digest(wire.Process{Addr: all[2].cfg.Self, Boot: all[2].boot})
	all[2].digest ^= wire.Digest(wire.Process{Addr: a.cfg.Self, Boot: a.boot})
	s.until(5*time.Second, "they have met", func() bool { return a.of(all[2]) != nil && all[2].of(a) != nil })
}

// [MEM-21] A tick that comes more than 1 s late means that this process was stopped: it takes back its own suspicions,
// gives every peer 1 s to answer, raises its incarnation and announces itself to all with new nonces.
func TestStoppedProcessBlamesNobody(t *testing.T) {
	s := newSociety(t)
	all := s.grow(8)
	sick := all[3]
	sick.stopped = true
	s.run(10 * time.Second)
	require.Equal(t, Offline, all[0].of(sick).state())
	sick.stopped = false
	back := s.until(time.Second, "it is back everywhere", func() bool {
		for _, c := range all {
			if c.in(Alive) != 7 {
				return false
			}
		}
		return true
	})
	t.Log("back after", back)
	require.Greater(t, sick.inc, uint32(1))
	s.run(20 * time.Second)
	for _, c := range all {
		for _, e := range c.events {
			require.True(t, e.News == NewsUp || e.Addr == sick.cfg.Self, "%v of %v", e.News, e.Addr)
		}
	}
}

// [MEM-21] A Welcome that echoes its nonce puts the peer's Beat off as MEM-10 does a new one's: the living are not
// probed, and who died meanwhile is missed at once, not when its Beat would be due, whatever it had sent before.
func TestStoppedProcessMissesTheDead(t *testing.T) {
	t.Parallel()
	s := newSociety(t)
	all := s.grow(100)
	sick, dead := all[3], all[7]
	sick.stopped = true
	s.run(2500 * time.Millisecond)
	dead.dead = true
	s.run(7500 * time.Millisecond)
	sent := s.watch(sick)
	sick.stopped = false
	took := s.until(5*time.Second, "it knows", func() bool { return sick.of(dead).state() == Offline })
	t.Log("known after", took)
	require.Less(t, took, answersWithin+slackMost)
	require.Less(t, kindsOf(*sent)[wire.KindPing], 20)
	require.Equal(t, 98, sick.in(Alive))
}

// A process that has nothing to do for long was not stopped.
func TestIdleProcessIsNotTakenForStopped(t *testing.T) {
	s := newSociety(t)
	a := s.join(0)
	s.run(time.Hour)
	s.join(1, 0)
	s.run(time.Minute)
	require.EqualValues(t, 1, a.inc)
}

// [MEM-20] but not within 1 s of the last such List to this peer, twice as long each time until a digest was the same,
// up to 60 s: ten that are never right do not keep the List from one whom it helps.
func TestWhomNoListHelpsLeavesItToOthers(t *testing.T) {
	s := newSociety(t)
	all := s.grow(12)
	a := all[0]
	lists := map[netip.AddrPort][]time.Duration{}
	start := s.now
	s.spy = func(from *citizen, to netip.AddrPort, msg wire.Message, _ int) {
		if _, ok := msg.(wire.List); ok && from == a {
			lists[to] = append(lists[to], s.now.Sub(start))
		}
	}
	beats := func(seq uint32, who []*citizen, wrong uint64) {
		for _, c := range who {
			s.forge(a, a.linkTo(c), wire.Beat{Seq: seq, Promise: 1000, Digest: a.digest + wrong})
			s.run(time.Millisecond)
		}
	}
	for i := range uint32(150) {
		beats(100+i, all[1:11], 1)
		s.run(time.Second - 10*time.Millisecond)
	}
	for _, c := range all[1:11] {
		require.LessOrEqual(t, len(lists[c.cfg.Self]), 8)
		require.GreaterOrEqual(t, len(lists[c.cfg.Self]), 6)
	}
	beats(900, all[11:], 1)
	beats(901, all[11:], 1)
	require.Len(t, lists[all[11].cfg.Self], 1, "at once")

	other := all[1].cfg.Self
	had := len(lists[other])
	s.run(time.Minute)
	beats(902, all[1:2], 0)
	for i := range uint32(4) {
		beats(903+i, all[1:2], 1)
		s.run(time.Second)
	}
	require.Equal(t, had+2, len(lists[other]), "it was right meanwhile")
}
