package transfer

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A windowTest plays rounds to a window: what was sent in a round trip, and what became of it.
type windowTest struct {
	sendWindow
	now  time.Duration
	next sendOrder
}

func newWindowTest() *windowTest {
	return &windowTest{sendWindow: newWindow(1000), next: 1}
}

// play plays a round of a full window, of which a share is lost.
func (w *windowTest) play(roundTrip time.Duration, share float64) {
	w.now += roundTrip
	fragments := max(w.size/w.fragment, roundLeast)
	lost := int(float64(fragments) * share)
	w.round.isFull = true
	for range lost {
		w.lose(w.fragment)
	}
	for range fragments - lost {
		w.sample(w.now, roundTrip)
		w.ack(w.fragment)
	}
	w.next += sendOrder(fragments)
	w.endRound(w.now, w.next-1, w.next)
}

// settled plays rounds until the window has settled at a size.
func (w *windowTest) settled(roundTrip time.Duration, rounds int) *windowTest {
	for range rounds {
		w.play(roundTrip, 0)
	}
	return w
}

// [FRAG-6] the window is 16 KiB at first, or 32 on a path of 10 ms or more. While it holds something back, what is
// acknowledged is added, so that it doubles in each round trip. That is over with the first fragment that is lost, or
// when 8 round trips in a row had more than half of the allowed queue.
func TestWindowDoublesUntilTheFirstSign(t *testing.T) {
	w := newWindowTest()
	require.Equal(t, 16<<10, w.size)
	w.expect(80 * time.Millisecond)
	require.Equal(t, 32<<10, w.size)
	for range 3 {
		before := w.size
		w.play(80*time.Millisecond, 0)
		require.InDelta(t, 2*before, w.size, 1000)
	}
	loses := *w
	loses.lose(1000)
	require.True(t, loses.steady)
	waits := *w
	for range 7 {
		waits.sample(w.now, 91*time.Millisecond)
	}
	require.False(t, waits.steady)
	waits.sample(w.now, 91*time.Millisecond)
	require.True(t, waits.steady, "10 ms are half of a quarter of 80")
}

// [FRAG-6] Something waited for the window [...]: the window grows; else it does not.
func TestWindowGrowsOnlyWhenItIsFull(t *testing.T) {
	w := newWindowTest()
	w.ack(1000)
	require.Equal(t, firstWindow, w.size)
	w.round.isFull = true
	w.ack(1000)
	require.Equal(t, firstWindow+1000, w.size)
}

// [FRAG-6] It is 1.5 MiB at most, or 256 KiB for each millisecond of the path if that is more, up to 8 MiB.
func TestWindowHasALimit(t *testing.T) {
	for roundTrip, most := range map[time.Duration]int{
		time.Millisecond: 3 << 19, 10 * time.Millisecond: 2560 << 10, time.Second: 8 << 20,
	} {
		require.Equal(t, most, newWindowTest().settled(roundTrip, 40).size, "%v", roundTrip)
	}
}

// [FRAG-6] Allowed is a queue of a quarter of the path, at least 5 ms and at most 25. The queue is above the allowed
// one: the window becomes as small as makes the allowed one of it, no less than half.
func TestWindowSeesAQueue(t *testing.T) {
	w := newWindowTest().settled(20*time.Millisecond, 5)
	w.play(30*time.Millisecond, 0) // slow start is left within
	w.settles, w.noise = false, 0
	before := w.size
	w.play(30*time.Millisecond, 0)
	require.InDelta(t, float64(before)*25/30, w.size, 2)
	before = w.size
	w.play(30*time.Millisecond, 0)
	require.Equal(t, before, w.size, "these were sent before")
	w.noise, w.waited = 0, 4*time.Millisecond
	w.play(24*time.Millisecond, 0)
	require.Equal(t, before, w.size, "a queue that may be is left as it is")
	w.play(21*time.Millisecond, 0)
	require.Greater(t, w.size, before)
}

// [FRAG-6] Where the queue differs from round to round, four times the smoothed difference is added, up to 30 ms in all
func TestWindowBearsAQueueThatComesAndGoes(t *testing.T) {
	w := newWindowTest().settled(20*time.Millisecond, 5)
	require.Equal(t, queueLeast, w.allowed())
	for range 10 {
		w.play(30*time.Millisecond, 0)
		w.play(20*time.Millisecond, 0)
	}
	require.Greater(t, w.allowed(), 20*time.Millisecond)
	for range 10 {
		w.play(200*time.Millisecond, 0)
		w.play(20*time.Millisecond, 0)
	}
	require.Equal(t, noisyMost, w.allowed())
	w.settled(20*time.Millisecond, 40)
	require.Less(t, w.allowed(), 2*queueLeast, "it is forgotten")
}

// [FRAG-6] When the queue does not become shorter with the window, twice in a row, the path has become longer.
func TestWindowLearnsThatThePathIsLonger(t *testing.T) {
	w := newWindowTest().settled(10*time.Millisecond, 5)
	for range 8 {
		w.play(100*time.Millisecond, 0)
	}
	require.Equal(t, 100*time.Millisecond, w.base.least())
	require.GreaterOrEqual(t, w.settled(100*time.Millisecond, 8).size, 1<<20)
}

// [FRAG-6] Much was lost: more than a tenth, and two fragments, of what is known, of which each older round counts a
// quarter less. The window is made smaller by twice the share that was lost, no less than half.
func TestWindowSeesLosses(t *testing.T) {
	w := newWindowTest().settled(20*time.Millisecond, 3)
	before := w.size
	w.play(20*time.Millisecond, 0.05)
	require.GreaterOrEqual(t, w.size, before, "few are borne")
	before = w.size
	w.play(20*time.Millisecond, 0.22)
	require.InDelta(t, float64(before)*0.56, w.size, float64(before)/50, "less by twice the share")
	before = w.size
	w.play(20*time.Millisecond, 0.22)
	require.Equal(t, before, w.size, "these were sent before")
}

// [FRAG-16] A sender has no more than that in flight on the link, but always two fragments.
func TestWindowKeepsToTheRoomOfTheReceiver(t *testing.T) {
	w := newWindowTest().settled(20*time.Millisecond, 20)
	require.Equal(t, w.limit(), w.size)
	require.Greater(t, w.size, 1<<20)
	o := Out{}
	o.Init(time.Now(), 1000)
	o.flight.window = w.sendWindow
	o.Room(160_000)
	require.Equal(t, 160_000, o.flight.window.size)
	o.flight.window.ack(1 << 20)
	o.flight.window.grow(windowSign{})
	require.Equal(t, 160_000, o.flight.window.size)
	o.flight.window.restart(1)
	require.Equal(t, 160_000, o.flight.window.limit(), "it is no news of the path")

	o.Room(1)
	require.Equal(t, 2*1000, o.flight.window.size)
	o.flight.window.resize(21788)
	require.Equal(t, 2*21788, o.flight.window.limit())
	o.Room(1<<32 - 1)
	require.Equal(t, maxWindow, o.flight.window.limit(), "a larger one is none")
}

// [FRAG-6] a window is two fragments at least
func TestWindowHoldsTwoFragmentsOfAnySize(t *testing.T) {
	w := newWindow(1149)
	w.resize(1149)
	require.Equal(t, firstWindow, w.size)
	w.resize(21788)
	require.Equal(t, 2*21788, w.size)
	w.restart(1)
	require.Equal(t, 2*21788, w.size)
	w.shrink(windowSign{}, 0)
	require.Equal(t, 2*21788, w.size)
}

// [FRAG-6] When losses do not become less with the window, twice in a row, they are borne from then on
func TestWindowBearsLossesThatItDoesNotCause(t *testing.T) {
	w := newWindowTest().settled(20*time.Millisecond, 4)
	for range 30 {
		w.play(20*time.Millisecond, 0.2)
	}
	require.True(t, w.lossy, "and the link is told")
	require.Greater(t, w.tolerated, 0.05)
	require.LessOrEqual(t, w.tolerated, toleratedMost)
	before := w.size
	for range 10 {
		w.play(20*time.Millisecond, 0.2)
	}
	require.Greater(t, w.size, before)
	w.settled(20*time.Millisecond, 20)
	require.Less(t, w.tolerated, 0.01, "it is forgotten where they end")
}

// [FRAG-6] On a path of less than 2 ms the speed is bounded, too: by what passed, at least 16 KiB a second.
func TestWindowBoundsTheSpeedOfAShortPath(t *testing.T) {
	w := newWindowTest().settled(100*time.Microsecond, 1)
	require.Zero(t, w.pace())
	w.play(100*time.Microsecond, 0.6)
	require.Positive(t, w.pace())
	require.Less(t, w.pace(), float64(w.round.acked+64<<10)/0.025)
	w.now += 10 * time.Second
	w.settles = false
	w.play(100*time.Microsecond, 0.9)
	require.EqualValues(t, leastPace, w.pace())
	for range 200 {
		w.play(100*time.Microsecond, 0)
	}
	require.Zero(t, w.pace(), "it is lifted where nothing is lost")
}

// [FRAG-6] After three time-outs in a row and 100 ms the window begins anew: the path may be another.
func TestWindowBeginsAnewAfterASilence(t *testing.T) {
	s := newSenderTest(t)
	s.start(1000)
	s.sendAll()
	s.out.flight.window.size, s.out.flight.window.steady = 1<<20, true
	for range anewAfter {
		require.True(t, s.out.flight.window.steady)
		s.advance(300 * time.Millisecond)
		s.out.Timeout(s.now, 20*time.Millisecond)
		s.sendAll()
	}
	s.wantWindow(firstWindow, "nothing is known any more")
	require.False(t, s.out.flight.window.steady)
}

// [FRAG-13] One transfer is at most 256 KiB ahead of its first unacknowledged fragment, for each millisecond of the
// shortest round trip but no less.
func TestReach(t *testing.T) {
	w := newWindowTest()
	require.Equal(t, 256<<10, w.reach(), "nothing is known")
	w.sample(0, 4*time.Millisecond)
	require.Equal(t, 1<<20, w.reach())
	w.sample(0, 10*time.Microsecond)
	require.Equal(t, 256<<10, w.reach())
}

// The shortest round trip is that of the last 10 to 20 s.
func TestBaseIsForgotten(t *testing.T) {
	var b base
	b.measure(0, time.Millisecond)
	b.measure(9*time.Second, 5*time.Millisecond)
	require.Equal(t, time.Millisecond, b.least())
	b.measure(11*time.Second, 5*time.Millisecond)
	require.Equal(t, time.Millisecond, b.least())
	b.measure(22*time.Second, 6*time.Millisecond)
	require.Equal(t, 5*time.Millisecond, b.least())
}

// [FRAG-15] Fragments go at twice the window in a round trip, or 1.25 times once slow start is over, and 8 at once.
func TestPacer(t *testing.T) {
	var p pacer
	pace := 100_000.0
	sent := 0
	for now := time.Second; now < 2*time.Second; now += time.Millisecond {
		for p.mayGo(now) {
			p.sent(now, 1000, 1000, pace)
			sent++
		}
		if now == time.Second {
			require.Equal(t, burstFragments+1, sent)
		}
	}
	require.InDelta(t, 108, sent, 1)
	p.sent(time.Minute, 1000, 1000, 0)
	require.True(t, p.mayGo(time.Minute))

	p, sent = pacer{}, 0
	for ; p.mayGo(time.Minute); sent++ { // but no more than 12 KiB of larger ones
		p.sent(time.Minute, 8931, 8931, 1e6)
	}
	require.Equal(t, 2, sent, "no more is begun")

	w := newWindowTest()
	w.expect(100 * time.Millisecond)
	require.InDelta(t, 20*w.size, w.pace(), 1)
	w.steady = true
	require.InDelta(t, 12.5*float64(w.size), w.pace(), 1)
}
