package member

import (
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// [MEM-31] The bound is 4,000 a second at first. It halves in each 100 ms in which the node is strained again, down to
// 20. It grows by a fifth in each 100 ms in which it is not. Above 16,000 it falls away.
func TestTheBoundFollowsTheStrain(t *testing.T) {
	now := time.Unix(0, 0)
	var s strain
	pass := func(late time.Duration, dropped uint64) float64 {
		now = now.Add(strainEvery)
		s.observe(now, late, dropped, 1000)
		return s.bound
	}
	require.Zero(t, pass(lateBy, 0), "a little late")
	require.Equal(t, 4000.0, pass(lateBy+1, 0))
	require.False(t, s.goesOn())
	require.Equal(t, 2000.0, pass(0, 1), "a message was dropped")
	require.True(t, s.goesOn())
	require.InDelta(t, 2400, pass(lateBy, 1), 1)
	for range 20 {
		pass(time.Second, 1)
	}
	require.Equal(t, 20.0, s.bound)
	for range 36 {
		require.NotZero(t, pass(0, 1))
	}
	pass(0, 1)
	require.Zero(t, s.bound)
}

// [MEM-31] What finds no room now waits for its turn, or asks again a second later.
func TestTheBoundGivesEachItsTime(t *testing.T) {
	now := time.Unix(0, 0)
	s := strain{bound: 100}
	var first, second, late goAhead
	require.Zero(t, first.wait(now, &s, byPlan))
	at := second.wait(now, &s, byPlan)
	require.Equal(t, now.Add(10*time.Millisecond), at)
	require.Zero(t, second.wait(at, &s, byPlan), "its time has come")
	for range 99 {
		require.NotZero(t, new(goAhead).wait(now, &s, byPlan))
	}
	require.Equal(t, now.Add(boundAhead), late.wait(now, &s, byPlan))
	require.False(t, late.given, "it asks again")
	s.bound = 0
	require.Zero(t, late.wait(now, &s, byPlan), "there is no bound any more")
}

// [MEM-31] Its slack is four times the longest of its late wake-ups, 2 s at most; what it remembers of one becomes a
// fifth less in each 100 ms.
func TestTheSlackFollowsLateWakeUps(t *testing.T) {
	now := time.Unix(0, 0)
	s := strain{judged: now}
	s.observe(now, time.Second, 0, 1000)
	require.Zero(t, s.slack(), "it is not judged yet")
	now = now.Add(strainEvery)
	s.observe(now, 0, 0, 1000)
	require.Equal(t, 1600*msec, s.slack())
	now = now.Add(3 * time.Second)
	s.observe(now, 3*time.Second, 0, 1000)
	require.Equal(t, 2*time.Second, s.slack(), "it stood still for longer than it would remember that")
	for _, want := range []time.Duration{1600 * msec, 1280 * msec, 1024 * msec} {
		now = now.Add(strainEvery)
		s.observe(now, 0, 0, 1000)
		require.InDelta(t, want, s.slack(), float64(msec))
	}
}

// [MEM-31] down to 10,000 divided by the nodes it knows of, who may all be on its machine, but not below 20
func TestTheBoundSinksToAShareOfTheMachine(t *testing.T) {
	for nodes, least := range map[int]float64{0: 4000, 1: 4000, 3: 10000. / 3, 100: 100, 500: 20, 1000: 20} {
		var s strain
		for i := range time.Duration(20) {
			s.observe(time.Unix(0, 0).Add(i*strainEvery), time.Second, 0, nodes)
		}
		require.Equal(t, least, s.bound, "%d nodes", nodes)
	}
}

// [MEM-31] Probes that another's word began (MEM-15) take nothing from the node's own. Their first Pings have a bound
// of their own, as high as the other.
func TestHearsayTakesNothingFromWhatIsPlanned(t *testing.T) {
	now := time.Unix(0, 0)
	s := strain{bound: 100}
	for range 300 {
		new(goAhead).wait(now, &s, byHearsay)
	}
	require.Zero(t, new(goAhead).wait(now, &s, byPlan))
	require.NotZero(t, new(goAhead).wait(now, &s, byPlan))
}

// [MEM-21] A tick that comes more than 1 s late [...] announces itself to all. A node that has been strained with a
// bound below 4,000 does nothing of that: promises, probes and suspicions move by the time that it stood still.
func TestWhoIsStrainedGoesOnAfterAStall(t *testing.T) {
	const stood = 2 * time.Second
	for _, bound := range []float64{0, boundFirst, boundFirst / 2} {
		s := newSociety(t)
		all := s.grow(5)
		a := all[0]
		calm, probed, suspect := a.of(all[1]), a.of(all[2]), a.of(all[3])
		a.ping(s.now, probed)
		a.ping(s.now, suspect)
		a.doubt(s.now, suspect)
		a.helps = []help{{target: a.of(all[4]), by: calm, tries: helpPings}}
		sent := s.watch(a)
		a.strain = strain{bound: bound, judged: s.now}
		before := [...]time.Time{a.time(calm.beatBy), a.watchAt(probed), a.watchAt(suspect),
			a.time(probed.inquiry.first)}
		s.now = s.now.Add(stood)
		a.recover(s.now, stood)
		s.collect(a)
		after := [...]time.Time{a.time(calm.beatBy), a.watchAt(probed), a.watchAt(suspect),
			a.time(probed.inquiry.first)}
		require.Empty(t, a.helps)
		if bound < boundFirst && bound > 0 {
			for i := range before {
				require.Equal(t, before[i].Add(stood), after[i], "%d", i)
			}
			require.False(t, calm.asked, "an answer to what was asked before names another incarnation")
			require.Zero(t, kindsOf(*sent)[wire.KindAnnounce])
			continue
		}
		require.True(t, calm.asked)
		require.False(t, probed.probe.isOn())
		require.Equal(t, Alive, suspect.state())
		a.wakeAt = time.Time{} // this stall is over
		for range 5 {
			s.now = s.now.Add(msec) // for each its turn
			a.Tick(s.now)
			s.collect(a)
		}
		require.Equal(t, 4, kindsOf(*sent)[wire.KindAnnounce])
	}
}

// [MEM-21] A node that was strained before, with a bound below 4,000, does nothing of that: one late wake-up before the
// stall, and the stall itself, are not enough.
func TestOneLateWakeUpBeforeAStallIsNoStrainThatGoesOn(t *testing.T) {
	for _, bound := range []float64{boundFirst, 2000} {
		s := newSociety(t)
		a := s.grow(5)[0]
		a.strain = strain{bound: bound, judged: s.now}
		inc, stood := a.inc, 5*time.Second
		s.now = s.now.Add(stood)
		a.Observe(s.now, stood, 0)
		a.Tick(s.now)
		require.Equal(t, bound == boundFirst, a.inc > inc, "it announces itself, bound %v", bound)
		require.True(t, a.strain.goesOn(), "from now on the stall counts, too")
	}
}

// [MEM-30] A round trip is measured by Pong [...]. None is measured while the node is strained (MEM-31).
func TestWhoIsStrainedMeasuresNoRoundTrip(t *testing.T) {
	for _, bound := range []float64{0, boundFirst} {
		s := newSociety(t)
		all := s.grow(3)
		a, p := all[0], all[0].of(all[1])
		p.noteTrip(msec)
		a.ping(s.now, p)
		ping := p.inquiry.pings[0]
		a.strain.bound = bound
		s.now = s.now.Add(50 * msec) // the answer has come long ago
		s.forge(a, a.linkTo(all[1]), wire.Pong{Nonce: ping.nonce})
		require.Equal(t, bound == 0, p.roundTrip() == 50*msec)
	}
}

// [MEM-21] What came while this process stood still is not put off by that, whether it is read before or after the
// clocks are looked at.
func TestADeathDuringAStallIsKnownSoonAfterIt(t *testing.T) {
	for _, bound := range []float64{0, 2000} {
		for _, readsFirst := range []bool{false, true} {
			s := newSociety(t)
			all := s.grow(5)
			a, x := all[0], all[1]
			a.stopped = true
			s.run(10 * time.Second)
			x.dead = true
			s.run(20 * time.Second)
			a.stopped, a.strain = false, strain{bound: bound, judged: s.now}
			if readsFirst {
				for _, other := range all[2:] {
					from := a.linkTo(other)
					s.forge(a, from, wire.Suspect{Target: a.of(x).target()})
					s.forge(a, from, wire.Offline{Target: a.of(x).target()})
				}
				b := a.of(x).tie.beats
				s.forge(a, a.linkTo(x), wire.Beat{Seq: b.in + 1, Promise: 1000, Inc: 1, Digest: a.digest, Echo: b.out})
			}
			took := s.until(5*time.Second, "it knows of the death", func() bool { return a.of(x).state() == Offline })
			t.Log("bound", bound, "reads first", readsFirst, "known after", took)
			require.Equal(t, 3, a.in(Alive))
		}
	}
}

// [MEM-31] Below 4,000 the node repeats no Suspect that another says too
func TestWhoIsStrainedRepeatsNoClaimOfAnother(t *testing.T) {
	for _, bound := range []float64{0, boundFirst, 100} {
		s := newSociety(t)
		all := s.grow(4)
		a, p := all[0], all[0].of(all[3])
		a.strain = strain{bound: bound, judged: s.now.Add(time.Hour)}
		sent := s.watch(a)
		a.ping(s.now, p)
		p.probe.find(foundDenied)
		a.doubt(s.now, p)
		s.collect(a)
		require.Equal(t, 3, kindsOf(*sent)[wire.KindSuspect])
		s.forge(a, a.linkTo(all[1]), wire.Suspect{Target: p.target()})
		require.Equal(t, bound == 100, len(a.claims) == 0)
		a.declareOffline(s.now, p)
		said := len(a.claims)
		s.forge(a, a.linkTo(all[1]), wire.Suspect{Target: p.target()})
		s.forge(a, a.linkTo(all[1]), wire.Offline{Target: p.target()})
		require.Len(t, a.claims, said, "who gives a peer up says so to the end")
	}
}

// [MEM-31] and sends a List by MEM-20 every 300 ms for each datagram of the last one
func TestWhoIsStrainedMendsRarely(t *testing.T) {
	for bound, pause := range map[float64]time.Duration{0: 30 * msec, boundFirst: 30 * msec, 100: 300 * msec} {
		s := newSociety(t)
		all := s.grow(4)
		a := all[0]
		a.strain.bound = bound
		a.mend(s.now, a.of(all[1]))
		require.Equal(t, s.now.Add(pause), a.listAt)
	}
}

// [MEM-3] After ten times each wait is twice as long, up to 4 s, and with each hello to a peer goes an Open from then
// on: it may not hold the link.
func TestWhoAnswersNoHelloIsOpenedTo(t *testing.T) {
	s := newSociety(t)
	a, x := s.join(0), s.act(7, 0)
	link := x.confirm(a, 1)
	sent, opens := s.watch(a), s.opens(a, x.addr)
	for range 1000 {
		s.run(10 * msec)
		x.say(a, link, wire.Pong{}) // or it would be late
		require.Equal(t, max(kindsOf(*sent)[wire.KindAnnounce]-10, 0), *opens)
	}
	require.Equal(t, 5, *opens, "the first with the hello after 1.3 s, then 0.5, 1, 2 and 4 s later")
}

// [MEM-31] While more than 32 addresses are missing (AMP-4) it sends no List by MEM-20.
func TestWhoIsStrainedAndMissesManyMendsNobody(t *testing.T) {
	for _, test := range []struct {
		bound   float64
		missing int
		mends   bool
	}{{0, crowdFew + 1, true}, {100, crowdFew, true}, {100, crowdFew + 1, false}} {
		s := newSociety(t)
		a := s.grow(3)[0]
		link, sent := a.linkTo(s.members[1]), s.watch(a)
		for i := range test.missing {
			a.miss(s.now, siteOf(100+i))
		}
		a.strain.bound = test.bound
		for seq := range uint32(2) {
			s.forge(a, link, wire.Beat{Seq: 100 + seq, Promise: 1000, Digest: a.digest + 1})
		}
		require.Equal(t, test.mends, kindsOf(*sent)[wire.KindList] == 1, "%+v", test)
	}
}

// [MEM-31] The slack is added to the 150 ms of MEM-11, the 300 ms of MEM-14 and the round trips of MEM-30, and a
// quarter of it to the time between two Pings. No wait of MEM-3 is shorter than the slack.
func TestWhoIsStrainedWaitsLonger(t *testing.T) {
	s := newSociety(t)
	all := s.grow(3)
	a, p := all[0], all[0].of(all[1])
	p.noteTrip(msec)
	waits := func() []time.Duration {
		a.ping(s.now, p)
		suspect := *p
		suspect.belief, suspect.since, suspect.probe = doubted, a.moment(s.now), probe{own: true}
		return []time.Duration{
			a.lateAt(p).Sub(s.now), a.watchAt(&suspect).Sub(s.now), a.patience(p), a.time(p.probe.at).Sub(s.now),
			a.helloGap(1, 0),
			a.provingGap(&proving{hellos: 1, trip: msec}, 0),
		}
	}
	before := waits()
	a.strain = strain{bound: 1000, late: 100 * msec}
	for i, d := range waits() {
		want := []time.Duration{before[0] + 400*msec, before[1] + 400*msec, before[2] + 400*msec, before[3] + 100*msec,
			400 * msec, 400 * msec}[i]
		require.Equal(t, want, d, "%d", i)
	}
}
