package broach

import (
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// What a process does otherwise while it gets too little of the processor, [MEM-31].

// [MEM-21] When it has been strained with a bound below 4,000, its peers' promises move by the time that it stood still, and those that are past then by a
// rotation, and it does not announce itself.
func TestWhoIsStrainedDoesNotAskAllAfterEachStall(t *testing.T) {
	for rate, announces := range map[float64]int{0: 3, paceFirst: 3, paceFirst / 2: 0} {
		s := newSociety(t)
		all := s.grow(4)
		a, early, late := all[0], all[0].of(all[1]), all[0].of(all[2])
		s.run(10 * time.Second)
		sent := s.watch(a)
		a.expect(early, s.now.Add(500*ms))
		a.expect(late, s.now.Add(-3*time.Second))
		a.pace = pace{rate: rate, judged: s.now}
		a.recover(s.now, 2*time.Second)
		a.tick(s.now)
		s.collect(a)
		if rate < paceFirst && rate > 0 {
			require.Equal(t, s.now.Add(2500*ms), a.time(early.beatBy))
			require.Equal(t, s.now.Add(a.rotation.promise()), a.time(late.beatBy))
		}
		s.run(10 * ms)
		require.Equal(t, announces, kindsOf(*sent)[wire.KindAnnounce], "at %v", rate)
	}
}

// [MEM-3] After ten times each wait is twice as long, up to 4 s, and with each hello to a peer goes an Open from then on: it may not hold the link.
func TestWhoAnswersNoHelloIsOpenedTo(t *testing.T) {
	s := newSociety(t)
	a, x := s.join(0), s.act(7, 0)
	link := x.confirm(a, 1)
	sent, opens := s.watch(a), s.opens(a, x.addr)
	for tries := 1; tries <= 13; tries++ {
		for kindsOf(*sent)[wire.KindAnnounce] < tries {
			require.Equal(t, max(tries-11, 0), *opens, "before hello %d", tries)
			s.run(10 * ms)
			x.say(a, link, wire.Pong{}) // or it would be late
		}
	}
	require.Equal(t, 3, *opens)
}

// [MEM-31] While more than 32 addresses are missing, no List is sent by MEM-20.
func TestWhoIsStrainedAndMissesManyMendsNobody(t *testing.T) {
	for rate, missing := range map[float64]int{0: crowdFew + 1, 100: crowdFew, 101: crowdFew + 1} {
		s := newSociety(t)
		a := s.grow(3)[0]
		link, sent := a.linkTo(s.members[1]), s.watch(a)
		for i := range missing {
			a.miss(s.now, addrOf(100+i))
		}
		a.pace.rate = rate
		for seq := range uint32(2) {
			s.forge(a, link, wire.Beat{Seq: 100 + seq, Promise: 1000, Digest: a.digest + 1})
		}
		require.Equal(t, rate != 101, kindsOf(*sent)[wire.KindList] == 1, "at %v, %d missing", rate, missing)
	}
}

// [MEM-31] It is added to the 150 ms of MEM-11, the 300 ms of MEM-14 and the round trips of MEM-30, a quarter of it to the time between two Pings, and no
// wait of MEM-3 is shorter.
func TestWhoIsStrainedWaitsLonger(t *testing.T) {
	s := newSociety(t)
	all := s.grow(3)
	a, p := all[0], all[0].of(all[1])
	p.noteTrip(ms)
	waits := func() []time.Duration {
		a.ping(s.now, p)
		suspect := *p
		suspect.state, suspect.since, suspect.probe = Suspect, a.moment(s.now), probe{own: true}
		return []time.Duration{
			a.lateAt(p).Sub(s.now), a.watchAt(&suspect).Sub(s.now), a.patience(p), a.time(p.probe.at).Sub(s.now), a.helloGap(1, 0),
		}
	}
	before := waits()
	a.pace = pace{rate: 1000, late: 100 * ms}
	for i, d := range waits() {
		want := []time.Duration{before[0] + 400*ms, before[1] + 400*ms, before[2] + 400*ms, before[3] + 100*ms, 400 * ms}[i]
		require.Equal(t, want, d, "%d", i)
	}
}

// [MEM-31] 20 at least: who is kept strained, by members that fill its inbox together, still finds out who is dead, and who is there.
func TestWhoIsKeptStrainedFindsTheDead(t *testing.T) {
	s := newSociety(t)
	all := s.grow(32)
	a := all[0]
	s.after = append(s.after, func(c *citizen) {
		if c == a {
			c.pace.dropped++ // the next count differs
		}
	})
	s.run(5 * time.Second)
	require.Equal(t, float64(paceLeast), a.pace.rate)
	for _, dead := range all[10:13] {
		dead.dead = true
		t.Log("dead after", s.until(5*time.Second, "it is offline", func() bool { return a.of(dead).state == Offline }))
	}
	s.join(40, 1)
	t.Log("met after", s.until(5*time.Second, "all meet", s.allMeet))
}
