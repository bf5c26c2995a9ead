package broach

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// [MEM-31] bounds what it says unasked [...] to 4,000 a second, half as many after each 100 ms in which that goes on, 20 at least, and 1.2 times as many after
// each in which it does not, until the bound is above 16,000 and falls away.
func TestPaceFollowsTheStrain(t *testing.T) {
	now := time.Unix(0, 0)
	var s pace
	pass := func(late time.Duration, dropped uint64) float64 {
		now = now.Add(paceEvery)
		s.observe(now, late, dropped)
		return s.rate
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
	require.Equal(t, 20.0, s.rate)
	for range 36 {
		require.NotZero(t, pass(0, 1))
	}
	pass(0, 1)
	require.Zero(t, s.rate)
}

// [MEM-31] What finds no place waits
func TestPaceGivesEachItsTime(t *testing.T) {
	now := time.Unix(0, 0)
	s := pace{rate: 100}
	var first, second, late goAhead
	require.Zero(t, first.wait(now, &s))
	at := second.wait(now, &s)
	require.Equal(t, now.Add(10*time.Millisecond), at)
	require.Zero(t, second.wait(at, &s), "its time has come")
	for range 99 {
		require.NotZero(t, new(goAhead).wait(now, &s))
	}
	require.Equal(t, now.Add(paceAhead), late.wait(now, &s))
	require.False(t, late.given, "it asks again")
	s.rate = 0
	require.Zero(t, late.wait(now, &s), "there is no bound any more")
}

// [MEM-31] Its slack is four times its latest wake-up of late, 2 s at most; what is remembered of one becomes a fifth less in each 100 ms.
func TestSlackFollowsTheLatestWakeUp(t *testing.T) {
	now := time.Unix(0, 0)
	s := pace{judged: now}
	s.observe(now, time.Second, 0)
	require.Zero(t, s.slack(), "it is not judged yet")
	now = now.Add(paceEvery)
	s.observe(now, 0, 0)
	require.Equal(t, 2*time.Second, s.slack())
	for _, want := range []time.Duration{2 * time.Second, 2 * time.Second, 1638 * ms, 1311 * ms} {
		now = now.Add(paceEvery)
		s.observe(now, 0, 0)
		require.InDelta(t, want, s.slack(), float64(ms))
	}
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
