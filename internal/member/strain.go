package member

import (
	"math"
	"time"

	"broach/internal/pace"
)

// How a process that gets too little of the processor holds back, [MEM-31].
const (
	boundFirst  = 4000  // things a second, once this process is strained
	boundLeast  = 20    // however long that lasts: a thousand nodes of one machine still come together,
	boundShared = 10000 // and where there are fewer, so many among all
	boundMost   = 16000 // from here on there is no bound
	boundSlow   = 0.5   // what becomes of it in each strainEvery that strains,
	boundFast   = 1.2   // and in each that does not
	strainEvery = 100 * time.Millisecond
	// how far ahead something gets its time: later ones ask again, when there may be more room
	boundAhead = time.Second

	lateBy    = 20 * time.Millisecond // a wake-up that is later strains
	lateFades = 0.8                   // what becomes of the lateness that is remembered, in each strainEvery
	slackEach = 4                     // times as long an answer takes: two readers and two loops wake up for it
	slackMost = 2 * time.Second
)

// A strain is how this process suffers from too little of the processor, or from more messages than it can take. Where
// many nodes share a machine, each that repeats what was not answered in time makes all the others slower, and none
// comes to an end. So a strained process bounds what it says unasked, and waits longer for answers. What answers others
// is bounded by what they say. The zero value is that of a process that is not strained.
type strain struct {
	bound   float64          // things that it may say in a second; 0: any number
	least   float64          // to which the bound sinks
	next    [lanes]time.Time // when the next one may be said
	judged  time.Time        // when the bound was last judged
	dropped uint64           // membership messages, until now
	seen    bool             // a sign of strain, since then
	late    time.Duration    // how late it woke up, of late
}

// A lane is a kind of things that are bounded by themselves, so that they need not wait for the others.
type lane int

const (
	byPlan    lane = iota
	byHearsay      // the first Pings to peers that others doubt: how many there are is not up to us
	bySilence      // what follows when those were in vain: liars do not bring that about
	lanes
)

// observe takes by how much this process woke up later than planned, how many membership messages it has dropped since
// its start, and how many nodes it knows of: all of them may share its machine.
func (s *strain) observe(now time.Time, late time.Duration, dropped uint64, nodes int) {
	s.least = max(boundShared/float64(max(nodes, 1)), boundLeast)
	s.seen = s.seen || late > lateBy || dropped != s.dropped
	s.dropped = dropped
	if gone := now.Sub(s.judged); gone >= strainEvery {
		s.adjustBound(min(float64(gone/strainEvery), 100))
		s.judged, s.seen = now, false
	}
	s.late = max(s.late, min(late, slackMost/slackEach)) // once it has faded: a long stall is itself such a time
}

// adjustBound makes the bound lower or higher, after so many times strainEvery.
func (s *strain) adjustBound(times float64) {
	s.late = time.Duration(float64(s.late) * math.Pow(lateFades, times))
	switch {
	case s.seen && s.bound == 0:
		s.bound = boundFirst
	case s.seen:
		s.bound = min(max(s.bound*boundSlow, s.least), boundFirst)
	default:
		if s.bound *= math.Pow(boundFast, times); s.bound > boundMost {
			s.bound = 0
		}
	}
}

// isOn reports that this process is strained.
func (s *strain) isOn() bool { return s.bound > 0 }

// goesOn reports that this process has been strained for more than a moment.
func (s *strain) goesOn() bool { return s.bound > 0 && s.bound < boundFirst }

// slack is how much longer than planned an answer may take. Others are as late as we are: they share the machine, or
// answer to us.
func (s *strain) slack() time.Duration {
	if !s.isOn() {
		return 0
	}
	return min(slackEach*s.late, slackMost)
}

// A goAhead is what one thing needs to be said unasked.
type goAhead struct{ given bool }

// wait returns zero if the thing may be said now, or when to ask again.
func (g *goAhead) wait(now time.Time, s *strain, in lane) time.Time {
	if g.given || !s.isOn() {
		g.given = false
		return time.Time{}
	}
	at := pace.Later(now, s.next[in])
	if at.Sub(now) > boundAhead {
		return now.Add(boundAhead)
	}
	s.next[in] = at.Add(time.Duration(float64(time.Second) / s.bound))
	if at.After(now) {
		g.given = true
		return at
	}
	return time.Time{}
}
