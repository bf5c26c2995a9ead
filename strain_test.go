package broach

import (
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// [MEM-31] The bound is 4,000 a second at first. It halves in each 100 ms in which the node is strained again, down to 20. It grows by a fifth in each 100 ms in
// which it is not, and above 16,000 it falls away.
func TestTheBoundFollowsTheStrain(t *testing.T) {
	now := time.Unix(0, 0)
	var s strain
	pass := func(late time.Duration, dropped uint64) float64 {
		now = now.Add(strainEvery)
		s.observe(now, late, dropped)
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
	require.Zero(t, first.wait(now, &s))
	at := second.wait(now, &s)
	require.Equal(t, now.Add(10*time.Millisecond), at)
	require.Zero(t, second.wait(at, &s), "its time has come")
	for range 99 {
		require.NotZero(t, new(goAhead).wait(now, &s))
	}
	require.Equal(t, now.Add(boundAhead), late.wait(now, &s))
	require.False(t, late.given, "it asks again")
	s.bound = 0
	require.Zero(t, late.wait(now, &s), "there is no bound any more")
}

// [MEM-31] Its slack is four times the longest of its late wake-ups, 2 s at most; what it remembers of one becomes a fifth less in each 100 ms.
func TestTheSlackFollowsLateWakeUps(t *testing.T) {
	now := time.Unix(0, 0)
	s := strain{judged: now}
	s.observe(now, time.Second, 0)
	require.Zero(t, s.slack(), "it is not judged yet")
	now = now.Add(strainEvery)
	s.observe(now, 0, 0)
	require.Equal(t, 1600*ms, s.slack())
	now = now.Add(3 * time.Second)
	s.observe(now, 3*time.Second, 0)
	require.Equal(t, 2*time.Second, s.slack(), "it stood still for longer than it would remember that")
	for _, want := range []time.Duration{1600 * ms, 1280 * ms, 1024 * ms} {
		now = now.Add(strainEvery)
		s.observe(now, 0, 0)
		require.InDelta(t, want, s.slack(), float64(ms))
	}
}

// [MEM-21] A tick that comes more than 1 s late [...] announces itself to all. When it has been strained with a bound below 4,000, its peers' promises move by
// the time that it stood still, and those that are past then by a rotation, and it does not announce itself.
func TestWhoIsStrainedDoesNotAskAllAfterEachStall(t *testing.T) {
	for _, bound := range []float64{0, boundFirst, boundFirst / 2} {
		s := newSociety(t)
		all := s.grow(4)
		a, early, late := all[0], all[0].of(all[1]), all[0].of(all[2])
		s.run(10 * time.Second)
		sent, goesOn := s.watch(a), bound == boundFirst/2
		stall := func() {
			a.expect(early, s.now.Add(500*ms))
			a.expect(late, s.now.Add(-3*time.Second))
			a.recover(s.now, 2*time.Second)
			a.tick(s.now)
			s.collect(a)
		}
		a.strain = strain{bound: bound, judged: s.now}
		stall()
		require.Equal(t, !goesOn, early.asked)
		s.run(10 * ms)
		require.Equal(t, !goesOn, kindsOf(*sent)[wire.KindAnnounce] == 3, "at %v", bound)

		a.strain.bound = boundFirst / 2
		stall()
		require.False(t, early.asked, "an answer to what was asked before names another incarnation")
		require.Equal(t, s.now.Add(2500*ms), a.time(early.beatBy))
		require.Equal(t, s.now.Add(a.rotation.promise()), a.time(late.beatBy))
	}
}

// [MEM-3] After ten times each wait is twice as long, up to 4 s, and with each hello to a peer goes an Open from then on: it may not hold the link.
func TestWhoAnswersNoHelloIsOpenedTo(t *testing.T) {
	s := newSociety(t)
	a, x := s.join(0), s.act(7, 0)
	link := x.confirm(a, 1)
	sent, opens := s.watch(a), s.opens(a, x.addr)
	for range 1000 {
		s.run(10 * ms)
		x.say(a, link, wire.Pong{}) // or it would be late
		require.Equal(t, max(kindsOf(*sent)[wire.KindAnnounce]-10, 0), *opens)
	}
	require.Equal(t, 5, *opens, "the first with the hello after 1.3 s, then 0.5, 1, 2 and 4 s later")
}

// [MEM-31] While more than 32 addresses are missing (AMP-4), a strained node sends no List by MEM-20.
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
			a.miss(s.now, addrOf(100+i))
		}
		a.strain.bound = test.bound
		for seq := range uint32(2) {
			s.forge(a, link, wire.Beat{Seq: 100 + seq, Promise: 1000, Digest: a.digest + 1})
		}
		require.Equal(t, test.mends, kindsOf(*sent)[wire.KindList] == 1, "%+v", test)
	}
}

// [MEM-31] The slack is added to the 150 ms of MEM-11, the 300 ms of MEM-14 and the round trips of MEM-30, and a quarter of it to the time between two Pings. No
// wait of MEM-3 is shorter than the slack.
func TestWhoIsStrainedWaitsLonger(t *testing.T) {
	s := newSociety(t)
	all := s.grow(3)
	a, p := all[0], all[0].of(all[1])
	p.noteTrip(ms)
	waits := func() []time.Duration {
		a.ping(s.now, p)
		suspect := *p
		suspect.state, suspect.since, suspect.probe = stateSuspect, a.moment(s.now), probe{own: true}
		return []time.Duration{
			a.lateAt(p).Sub(s.now), a.watchAt(&suspect).Sub(s.now), a.patience(p), a.time(p.probe.at).Sub(s.now), a.helloGap(1, 0),
			a.provingGap(&proving{hellos: 1, trip: ms}, 0),
		}
	}
	before := waits()
	a.strain = strain{bound: 1000, late: 100 * ms}
	for i, d := range waits() {
		want := []time.Duration{before[0] + 400*ms, before[1] + 400*ms, before[2] + 400*ms, before[3] + 100*ms, 400 * ms, 400 * ms}[i]
		require.Equal(t, want, d, "%d", i)
	}
}

// [MEM-31] The bound halves down to 20: who is kept strained, by members that fill its inbox together, still finds out who is dead, and who is there.
func TestWhoIsKeptStrainedFindsTheDead(t *testing.T) {
	s := newSociety(t)
	all := s.grow(32)
	a := all[0]
	s.after = append(s.after, func(c *citizen) {
		if c == a {
			c.strain.dropped++ // the next count differs
		}
	})
	s.run(5 * time.Second)
	require.Equal(t, float64(boundLeast), a.strain.bound)
	for _, dead := range all[10:13] {
		dead.dead = true
		t.Log("dead after", s.until(5*time.Second, "it is offline", func() bool { return a.of(dead).state == stateOffline }))
	}
	s.join(40, 1)
	t.Log("met after", s.until(5*time.Second, "all meet", s.allMeet))
}

// [MEM-31] Nodes that share too little of a processor come together all the same, when they begin at once, when a cut heals, and when all begin anew at
// once: what they say unasked leaves room for the answers.
func TestACrowdOnOneProcessorComesTogether(t *testing.T) {
	s := newSociety(t)
	s.cost = 100 * time.Microsecond
	begin := func() {
		for i := range 100 {
			s.join(i, 0)
		}
	}
	together := func(when string) {
		t.Log("together after", s.until(30*time.Second, when, s.allMeet), when)
		s.run(10 * time.Second)
		require.True(t, s.allMeet(), "they stay together")
	}
	begin()
	together("at first")
	s.cut = func(from, to *citizen) bool {
		return addrOf(50).Compare(from.place) > 0 != (addrOf(50).Compare(to.place) > 0)
	}
	s.run(10 * time.Second)
	s.cut = nil
	together("healed")
	for _, c := range s.live() {
		c.dead = true
	}
	begin()
	together("all anew")
}
