package broach

import (
	"math"
	"time"
)

// Bounds of the pace, [MEM-31].
const (
	paceFirst = 4000  // things a second, once this process is strained
	paceLeast = 20    // however long that lasts: a thousand nodes of one machine still come together
	paceMost  = 16000 // from here on there is no bound
	paceSlow  = 0.5   // what becomes of it in each paceEvery that strains,
	paceFast  = 1.2   // and in each that does not
	paceEvery = 100 * time.Millisecond
	paceAhead = time.Second // how far ahead something gets its time: later ones ask again, when there may be more room

	lateBy    = 20 * time.Millisecond // a wake-up that is later strains
	lateFades = 0.8                   // what becomes of the lateness that is remembered, in each paceEvery
	slackEach = 4                     // times as long an answer takes: two readers and two loops wake up for it
	slackMost = 2 * time.Second
)

// A pace knows whether this process gets too little of the processor, or drops what comes. Where many nodes share a machine, each that says again
// what was not answered in time makes all the others slower, and none comes to an end. So what is said unasked is bounded, and what is waited for
// gets longer. What answers others is bounded by what they say. The zero value is that of a process that is not strained.
type pace struct {
	rate     float64       // things a second; 0: there is no bound
	next     time.Time     // when the next thing may be said
	judged   time.Time     // when the rate was last judged
	dropped  uint64        // membership messages, until now
	strained bool          // since then
	late     time.Duration // how late this process woke up, of late
}

// observe takes by how much this process woke up late, and how many membership messages it has dropped since its start.
func (s *pace) observe(now time.Time, late time.Duration, dropped uint64) {
	s.strained = s.strained || late > lateBy || dropped != s.dropped
	s.late, s.dropped = max(s.late, late), dropped
	if gone := now.Sub(s.judged); gone >= paceEvery {
		s.judge(min(float64(gone/paceEvery), 100))
		s.judged, s.strained = now, false
	}
}

// judge makes the rate lower or higher, after so many times paceEvery.
func (s *pace) judge(times float64) {
	s.late = time.Duration(float64(s.late) * math.Pow(lateFades, times))
	switch {
	case s.strained && s.rate == 0:
		s.rate = paceFirst
	case s.strained:
		s.rate = max(s.rate*paceSlow, paceLeast)
	default:
		if s.rate *= math.Pow(paceFast, times); s.rate > paceMost {
			s.rate = 0
		}
	}
}

// isStrained reports that there is a bound.
func (s *pace) isStrained() bool { return s.rate > 0 }

// goesOn reports that this process has been strained for more than a moment.
func (s *pace) goesOn() bool { return s.rate > 0 && s.rate < paceFirst }

// slack is how much longer than planned an answer may take. Others are as late as we are: they share the machine, or answer to us.
func (s *pace) slack() time.Duration {
	if !s.isStrained() {
		return 0
	}
	return min(slackEach*s.late, slackMost)
}

// A goAhead is what one thing needs to be said unasked.
type goAhead struct{ given bool }

// wait returns zero if the thing may be said now, or when to ask again.
func (g *goAhead) wait(now time.Time, s *pace) time.Time {
	if g.given || !s.isStrained() {
		g.given = false
		return time.Time{}
	}
	at := later(now, s.next)
	if at.Sub(now) > paceAhead {
		return now.Add(paceAhead)
	}
	s.next = at.Add(time.Duration(float64(time.Second) / s.rate))
	if at.After(now) {
		g.given = true
		return at
	}
	return time.Time{}
}
