package member

import (
	"math"
	"slices"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// [MEM-15] Suspect and Offline count only for the boot id known, and an incarnation not below the one known. The
// receiver pings the target 5 times at 60 ms, and sends Vouch to the suspecter when anything comes from the target.
func TestClaimsAreChecked(t *testing.T) {
	s := newSociety(t)
	all := s.grow(4)
	a, liar, target := all[0], all[1], all[2]
	named := a.of(target).target()

	other := named
	other.Boot++
	a.of(target).inc = 5
	sent := s.watch(a)
	s.forge(a, a.linkTo(liar), wire.Suspect{Target: other})
	for _, stale := range []wire.Target{other, named} {
		s.forge(a, a.linkTo(liar), wire.Offline{Target: stale})
	}
	require.Empty(t, *sent)

	named.Inc = 5
	s.forge(a, a.linkTo(liar), wire.Suspect{Target: named})
	require.Equal(t, Alive, a.of(target).state(), "it has not been asked yet")
	s.run(10 * time.Millisecond)
	require.Equal(t, map[wire.Kind]int{wire.KindPing: 1, wire.KindVouch: 1}, kindsOf(*sent))
	require.Equal(t, Alive, a.of(target).state())
}

// [MEM-15] Two of these Pings in vain make the target suspect. [MEM-30] Offline makes a target offline only when Pings
// of the node's own are in vain. That is when 5 of them [...] went since anything came from the target.
func TestClaimsAreCheckedThroughLoss(t *testing.T) {
	for lost := range 6 {
		s := newSociety(t)
		all := s.grow(4)
		a, liar, target := all[0], all[1], all[2]
		a.of(target).noteTrip(time.Millisecond)
		pings := 0
		s.drop = func(msg wire.Message) bool {
			if msg.Kind() != wire.KindPing {
				return msg.Kind() == wire.KindBeat
			}
			pings++
			return pings <= lost
		}
		s.forge(a, a.linkTo(liar), wire.Suspect{Target: a.of(target).target()})
		s.run(119 * time.Millisecond)
		require.Equal(t, Alive, a.of(target).state())
		s.run(1050 * time.Microsecond) // too soon for an answer to the third
		require.Equal(t, lost >= 2, a.of(target).state() == Suspect, "%d lost", lost)
		s.run(169950 * time.Microsecond)
		s.forge(a, a.linkTo(liar), wire.Offline{Target: a.of(target).target()})
		if lost < 5 {
			require.Equal(t, Alive, a.of(target).state(), "%d lost", lost)
			continue
		}
		require.Equal(t, 5, pings)
		require.Equal(t, Offline, a.of(target).state())
	}
}

// [MEM-30] And the first of these went two round trips ago, and 100 ms. Two round trips count as 660 ms while none was
// measured, or when there was an alarm later than 1 s before the first of these Pings. They count as no more than that.
// Who looks into a Suspect, and has sent fewer Pings, sends the rest at 30 ms. Who has heard no Suspect begins to ping
// so.
func TestOfflineIsBelievedAfterOwnPings(t *testing.T) {
	for name, test := range map[string]struct {
		trip    time.Duration
		suspect time.Duration // how long before the Offline
		accused time.Duration // how long before that a was itself called so; 0: never
		takes   time.Duration
		again   bool // and 9 s before that, by the same
	}{
		"no Suspect":                   {time.Millisecond, 0, 0, 150 * time.Millisecond, false},
		"no Suspect, nothing measured": {0, 0, 0, 660 * time.Millisecond, false},
		"no Suspect, a long way":       {100 * time.Millisecond, 0, 0, 200 * time.Millisecond, false},
		"no Suspect, a very long way":  {time.Second, 0, 0, 660 * time.Millisecond, false},
		"two Pings sent":               {time.Millisecond, 100 * time.Millisecond, 0, 110 * time.Millisecond, false},
		"all Pings sent":               {time.Millisecond, 299 * time.Millisecond, 0, 0, false},
		"accused itself": {time.Millisecond, 299 * time.Millisecond, 980 * time.Millisecond,
			361 * time.Millisecond, false},
		"accused itself before":   {time.Millisecond, 299 * time.Millisecond, 1001 * time.Millisecond, 0, false},
		"accused by a liar again": {time.Millisecond, 299 * time.Millisecond, 980 * time.Millisecond, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSociety(t)
			all := s.grow(4)
			a, liar, target := all[0], all[1], all[2]
			p := a.of(target)
			p.trip = trip(test.trip.Microseconds())
			if test.accused > 0 {
				itself := wire.Target{Addr: a.cfg.Self, Boot: a.cfg.Boot}
				if test.again {
					s.forge(a, a.linkTo(liar), wire.Suspect{Target: itself})
					s.run(9 * time.Second)
				}
				s.forge(a, a.linkTo(liar), wire.Suspect{Target: itself})
				s.run(test.accused)
			}
			s.cut = func(from, to *citizen) bool { return from == target || to == target }
			if test.suspect > 0 {
				s.forge(a, a.linkTo(liar), wire.Suspect{Target: p.target()})
				s.run(test.suspect)
			}
			s.forge(a, a.linkTo(liar), wire.Offline{Target: p.target()})
			took := s.until(time.Second, "it is offline", func() bool { return p.state() == Offline })
			require.InDelta(t, test.takes, took, float64(time.Millisecond))
		})
	}
}

// [MEM-15] Of more than 50 peers about 50 do so at once, each by its own chance. The others do so only if the suspicion
// lasts: 5 times at 30 ms, from when a quarter to a half of the 300 ms of MEM-14 is over.
func TestManyCheckAClaimInTurns(t *testing.T) {
	t.Parallel()
	for _, dead := range []bool{false, true} {
		s := newSociety(t)
		all := s.grow(150)
		liar, target := all[1], all[2]
		pings := 0
		s.drop = func(msg wire.Message) bool {
			pings += kindsOf([]wire.Message{msg})[wire.KindPing]
			return msg.Kind() == wire.KindBeat || dead
		}
		s.run(time.Millisecond) // what is under way arrives
		others := slices.Concat(all[:1], all[3:])
		hear := func(what func(wire.Target) wire.Message) {
			for _, c := range others {
				s.forge(c, c.linkTo(liar), what(c.of(target).target()))
			}
		}
		hear(func(t wire.Target) wire.Message { return wire.Suspect{Target: t} })
		s.run(50 * time.Millisecond)
		require.InDelta(t, shareProbes, pings, 25)
		s.run(250 * time.Millisecond)
		hear(func(t wire.Target) wire.Message { return wire.Offline{Target: t} })
		believed := 0
		for _, c := range others {
			if c.of(target).state() == Offline {
				believed++
			}
		}
		if dead {
			require.Equal(t, len(others), believed, "all of them, at once")
			require.Equal(t, 5*len(others), pings)
			continue
		}
		require.Zero(t, believed)
		require.Equal(t, len(others), pings, "the first was answered")
	}
}

// [MEM-15] Suspects and Offlines about one target begin this every 500 ms at most, whoever sends them.
func TestClaimsAreLookedIntoAtAPace(t *testing.T) {
	for _, liars := range []int{1, 3, 20} {
		s := newSociety(t)
		all := s.grow(23)
		a, target := all[0], all[1]
		sent := s.watch(a)
		for i := range 20_000 {
			liar := all[2+i%liars]
			s.forge(a, a.linkTo(liar), wire.Suspect{Target: a.of(target).target()})
			s.forge(a, a.linkTo(liar), wire.Offline{Target: a.of(target).target()})
			s.run(time.Millisecond)
		}
		require.Equal(t, 40, kindsOf(*sent)[wire.KindPing], "in 20 s, each answered")
		require.LessOrEqual(t, kindsOf(*sent)[wire.KindVouch], 20_000, "one for each Suspect, as a Pong for each Ping")
		require.Equal(t, Alive, a.of(target).state())
	}
}

// claimsOf counts messages by kind, without Beats.
func claimsOf(msgs []wire.Message) map[wire.Kind]int {
	kinds := kindsOf(msgs)
	delete(kinds, wire.KindBeat)
	return kinds
}

// [MEM-15] The answer is Vouch if another began such Pings within the last 500 ms, and something came [...] since.
func TestEachWhoDoubtsIsTold(t *testing.T) {
	s := newSociety(t)
	all := s.grow(4)
	a, target := all[0], all[1]
	suspect := wire.Suspect{Target: a.of(target).target()}
	for i := range 3 {
		sent := s.watch(a)
		s.forge(a, a.linkTo(all[2+i%2]), suspect)
		s.run(10 * msec)
		require.Equal(t, 1, kindsOf(*sent)[wire.KindVouch])
		require.Equal(t, i == 0, kindsOf(*sent)[wire.KindPing] == 1, "it has been asked")
	}
}

// [MEM-15] Or, if its incarnation is below the one known, it is taken as Help (MEM-12), at the same pace.
func TestWhoDoubtsWhatWasRefutedIsTold(t *testing.T) {
	s := newSociety(t)
	all := s.grow(4)
	a, cut, target := all[0], all[1], all[2]
	suspect := wire.Suspect{Target: a.of(target).target()}
	a.of(target).inc++
	sent := s.watch(a)
	s.drop = func(msg wire.Message) bool { return msg.Kind() == wire.KindPong || msg.Kind() == wire.KindBeat }
	s.forge(a, a.linkTo(cut), suspect)
	s.run(239 * msec)
	require.Equal(t, map[wire.Kind]int{wire.KindPing: helpPings}, claimsOf(*sent))
	require.Equal(t, Alive, a.of(target).state(), "it was refuted")
	s.run(300 * msec)
	s.drop, sent = nil, s.watch(a)
	s.forge(a, a.linkTo(cut), suspect)
	s.run(10 * msec)
	require.Equal(t, map[wire.Kind]int{wire.KindPing: 1, wire.KindVouch: 1}, claimsOf(*sent))
}

// [MEM-15] at the same pace, and counted apart: what a liar says of an incarnation that was refuted does not stand
// in the way of who sees a death.
func TestASuspectThatCountsNoMoreHidesNoDeath(t *testing.T) {
	for _, behind := range []uint32{1, 5} {
		s := newSociety(t)
		all := s.grow(8)
		a, liar, target := all[0], all[1], all[2]
		a.of(target).inc += 5
		old := a.of(target).target()
		old.Inc -= behind
		s.forge(a, a.linkTo(liar), wire.Suspect{Target: old})
		target.dead = true
		s.run(50 * time.Millisecond)
		s.forge(a, a.linkTo(all[3]), wire.Suspect{Target: a.of(target).target()})
		s.run(150 * time.Millisecond)
		require.Equal(t, Suspect, a.of(target).state())
	}
}

// [MEM-15] A probe that is under way goes on in place of these Pings [...]. It does not decide until 360 ms after the
// Suspect; further Suspects do not change it. When no Offline has followed by these 360 ms, and the Pings were in vain,
// the target is probed as in MEM-11.
func TestDeathIsFoundThoughOthersOnlyDoubt(t *testing.T) {
	for name, probing := range map[string]bool{"asked because of them": false, "probed already": true} {
		t.Run(name, func(t *testing.T) {
			s := newSociety(t)
			all := s.grow(4)
			a, liar, target := all[0], all[1], all[2]
			target.dead = true
			s.run(10 * time.Millisecond)
			if probing {
				a.Unanswered(s.now, a.of(target).tie.token)
				s.collect(a)
			}
			start := s.now
			for range 2000 {
				s.forge(a, a.linkTo(liar), wire.Suspect{Target: a.of(target).target()})
				s.run(time.Millisecond)
				if a.of(target).state() == Offline {
					break
				}
			}
			t.Log("offline after", s.now.Sub(start))
			require.Less(t, s.now.Sub(start), 1100*time.Millisecond)
		})
	}
}

// [MEM-16] Only the target refutes: it answers Suspect and Offline of itself with Ping, raises its incarnation above
// the claimed one and announces itself to all, once a second at most. To an incarnation of 2^32-1 it only answers.
func TestTargetRefutes(t *testing.T) {
	s := newSociety(t)
	all := s.grow(4)
	a, target := all[0], all[2]
	claimed := func(inc uint32) wire.Target { return wire.Target{Addr: target.cfg.Self, Boot: target.boot, Inc: inc} }
	sent := s.watch(target)
	s.forge(target, target.linkTo(a), wire.Suspect{Target: claimed(7)})
	s.run(0)
	require.EqualValues(t, 8, target.inc)
	require.Equal(t, map[wire.Kind]int{wire.KindPing: 1, wire.KindAnnounce: 3}, kindsOf(*sent))
	s.forge(target, target.linkTo(a), wire.Offline{Target: claimed(7)})
	require.EqualValues(t, 8, target.inc, "an old claim is refuted already")
	require.Equal(t, map[wire.Kind]int{wire.KindPing: 2, wire.KindAnnounce: 3}, kindsOf(*sent))

	for range 1000 {
		s.forge(target, target.linkTo(a), wire.Suspect{Target: claimed(target.inc)})
	}
	require.EqualValues(t, 8, target.inc, "others would know of different ones")
	require.Equal(t, 3, kindsOf(*sent)[wire.KindAnnounce], "more than one round in a second")
	s.run(time.Second)
	s.forge(target, target.linkTo(a), wire.Suspect{Target: claimed(math.MaxUint32 - 1)})
	s.run(0)
	require.Equal(t, 6, kindsOf(*sent)[wire.KindAnnounce])
	require.EqualValues(t, uint32(math.MaxUint32), target.inc)
	s.run(time.Second)
	s.forge(target, target.linkTo(a), wire.Suspect{Target: claimed(math.MaxUint32)})
	require.Equal(t, 6, kindsOf(*sent)[wire.KindAnnounce])
	target.recover(s.now, 0)
	require.EqualValues(t, uint32(math.MaxUint32), target.inc, "it does not begin anew")
}

// [MEM-15] sends Vouch to the suspecter when anything comes from the target: unless that is gone by then.
func TestAccuserWhoIsGoneIsToldNothing(t *testing.T) {
	s := newSociety(t)
	all := s.grow(4)
	a, accuser, target := all[0], all[1], all[2]
	s.cut = func(from, to *citizen) bool { return from == target }
	s.forge(a, a.linkTo(accuser), wire.Suspect{Target: a.of(target).target()})
	s.run(130 * time.Millisecond)
	require.Equal(t, Suspect, a.of(target).state())
	accuser.dead = true
	s.join(1, 0) // another process takes its address
	s.run(20 * time.Millisecond)
	require.Nil(t, a.of(accuser))
	require.Equal(t, accuser.cfg.Self, *a.of(target).view(nil).Accuser)
	sent := s.watch(a)
	s.cut = nil
	s.until(100*time.Millisecond, "it answers", func() bool { return a.of(target).state() == Alive })
	require.Zero(t, kindsOf(*sent)[wire.KindVouch])
}

// [MEM-22] Suspect of a peer that is unreachable makes the next 6 Pings go at once; Offline is a Nack, and counts as in
// MEM-30. When they are in vain [...] MEM-13 and MEM-14 hold, but not within 5 s of the last Suspect of this node's
// own.
func TestLiesAboutAPeerOutOfReach(t *testing.T) {
	s := newSociety(t)
	all := s.grow(5)
	a, liar, target := all[0], all[1], all[2]
	s.cut = func(from, to *citizen) bool { return from == a && to == target }
	p := a.of(target)
	s.until(10*time.Second, "it is unreachable", func() bool { return p.unreachable })
	sent := s.watch(a)
	s.forge(a, a.linkTo(liar), wire.Suspect{Target: p.target()})
	s.run(0)
	require.EqualValues(t, 1, p.probe.tries)
	for range 200 {
		s.forge(a, a.linkTo(liar), wire.Suspect{Target: p.target()})
		s.run(50 * time.Millisecond)
		require.True(t, p.unreachable && p.state() == Alive, "others vouch for it")
	}
	require.Less(t, kindsOf(*sent)[wire.KindPing], 200, "20 a second")
	require.Zero(t, kindsOf(*sent)[wire.KindSuspect])

	target.dead = true
	took := s.until(3*time.Second, "it is offline", func() bool { return p.state() == Offline })
	t.Log("its death is known after", took)
}

// [MEM-22] not within 5 s of the last Suspect of this node's own: who is contradicted each time does not flood the
// others with it.
func TestDoubtThatIsContradictedIsNotRepeatedSoon(t *testing.T) {
	s := newSociety(t)
	all := s.grow(3)
	a, liar, target := all[0], all[1], all[2]
	liar.of(target).belief = believedOffline // so that it answers Help with Offline: it contradicts only the Suspect
	p := a.of(target)
	target.dead = true
	sent := s.watch(a)
	s.drop = func(msg wire.Message) bool {
		return msg.Kind() == wire.KindOffline && !p.unreachable
	}
	s.after = append(s.after, func(*citizen) {
		if p.probe.found == foundGivenUp {
			p.probe.found = foundDenied
		}
	})
	for range 30_000 {
		s.run(time.Millisecond)
		if p.isDoubted() {
			s.forge(a, a.linkTo(liar), wire.Vouch{Target: p.target()})
		}
	}
	require.Equal(t, Alive, p.state())
	require.True(t, p.unreachable)
	require.Less(t, kindsOf(*sent)[wire.KindSuspect], 2*8, "in 30 s, to two peers")
}

// [MEM-15] A probe that is under way goes on in place of these Pings, from the beginning if it had a sign of life.
func TestDeathDuringAProbeIsKnownAsSoon(t *testing.T) {
	s := newSociety(t)
	all := s.grow(5)
	a, target := all[0], all[2]
	s.cut = func(from, to *citizen) bool { return from == target && to == a }
	a.Unanswered(s.now, a.of(target).tie.token)
	s.collect(a)
	s.until(100*time.Millisecond, "a witness vouches for it", func() bool { return a.of(target).probe.lives() })
	target.dead = true
	for _, c := range all[3:] {
		c.Unanswered(s.now, c.of(target).tie.token) // they call it
		s.collect(c)
	}
	s.until(3*time.Second, "the others know", func() bool {
		return !slices.ContainsFunc(all[3:], func(c *citizen) bool { return c.of(target).state() != Offline })
	})
	took := s.until(time.Second, "so does it", func() bool { return a.of(target).state() == Offline })
	require.Less(t, took, 10*time.Millisecond)
}
