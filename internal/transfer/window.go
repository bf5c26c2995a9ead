package transfer

import "time"

// How much may be in flight on a link, PROTOCOL.md [FRAG-6]. The window is judged once a round trip, by what was sent
// in the round trip before: by how much longer that took than the path is, and by the share of it that was lost.

const (
	firstWindow    = 16 << 10 // bytes: a little more than RFC 6928 has it, and what a thin bucket lets pass at once
	firstWindowFar = 32 << 10 // on a path that is as long as farFrom: it is spread over half of that
	farFrom        = 10 * time.Millisecond
	leastWindow    = 2 // fragments: with one, each would wait for the acknowledgement of the one before
	usualFragment  = 1400 - Overhead

	// The largest window, in bytes: what a socket on the same machine may have to hold, and what a longer path does in
	// each millisecond. An acknowledgement speaks of 1,024 fragments: one transfer does not use more.
	maxWindow     = 3 << 19
	maxWindowEach = 256 << 10
	maxWindowFar  = 8 << 20

	// What may wait in the queue of the path, as time: a quarter of the round trip, within bounds. Below the lower one
	// are the pauses of a busy scheduler.
	queueLeast = 5 * time.Millisecond
	queueMost  = 25 * time.Millisecond
	noisyMost  = 30 * time.Millisecond // where the queue of others comes and goes, as on a radio link

	leastPace     = 16 << 10               // bytes a second: however little passed
	roundLeast    = 16                     // fragments of which the fate is known, in a round that is judged
	lossLarge     = 0.10                   // one that also bounds the speed, see sendWindow.most
	toleratedMost = 0.25                   // however little slowing down helps: beyond it would be a flood
	pauseFrom     = 250 * time.Millisecond // without anything in flight: a new beginning
	baseFor       = 10 * time.Second       // after twice this the shortest round trip is forgotten
)

// A sendWindow is the window of one link. Its zero value is not ready: see newWindow.
type sendWindow struct {
	size     int  // bytes that may be in flight
	fragment int  // bytes of those that are sent at present
	room     int  // what the receiver's buffer has room for; 0: it has not said
	steady   bool // slow start is over
	step     int  // bytes by which it grows next, once steady

	base   base          // shortest round trip
	noise  time.Duration // by how much the queue of a round differs from that of the one before, smoothed
	waited time.Duration // that queue
	smooth time.Duration // smoothed round trip; 0: none was measured
	most   float64       // bytes a second: what passed when much was lost; 0: no bound
	faster float64       // share by which that grows next

	round windowRound
	// round trips in a row, up to the newest, that were longer than the path by half of what is allowed
	late    int
	settles bool       // the next round was sent before the window was made smaller: it is not judged
	before  windowSign // why it last was
	vain    int        // how often in a row that did not help

	ceiling     int     // the size at which much was lost: it is neared slowly
	lost, known float64 // bytes of the last rounds, of which the older count less
	tolerated   float64 // the share of losses that slowing down does not cure
	lossy       bool    // that rose since the link last asked
}

// A windowRound is what became of the fragments sent in the round trip before.
type windowRound struct {
	until       sendOrder // it ends when a sending from here on has arrived
	began       time.Duration
	acked, lost int           // bytes
	least       time.Duration // shortest round trip in it; 0: none was measured
	isLate      bool          // half of it is over
	isFull      bool          // the window held something back
}

// A windowSign is a reason to make the window smaller, and how things stood.
type windowSign struct {
	size  int           // of the window, before
	queue time.Duration // how much longer than the path is; 0: that was not the reason
	share float64       // of losses; 0: that was not the reason
}

// expects is the share of losses to be expected of a window of another size, if the path holds so much and no more.
func (s windowSign) expects(size int) float64 {
	return max(1-float64(s.size)*(1-s.share)/float64(size), 0)
}

func newWindow(fragment int) sendWindow {
	return sendWindow{size: firstWindow, fragment: fragment, round: windowRound{until: 1}}
}

// resize takes the size of the fragments that are sent from now on: transfers keep theirs when another packet size is
// found, and all that is judged by their number is to be judged by that of what goes. What is a little smaller than
// usual, since it was cut before anything was known of the path, counts as usual.
func (w *sendWindow) resize(fragment int) {
	w.fragment = max(fragment, usualFragment)
	w.size = max(w.size, leastWindow*w.fragment)
}

// expect takes a round trip that nobody has measured with fragments.
func (w *sendWindow) expect(roundTrip time.Duration) {
	if w.smooth > 0 {
		return
	}
	w.smooth = roundTrip
	if roundTrip >= farFrom {
		w.size = firstWindowFar
	}
}

// limit is the largest size.
func (w *sendWindow) limit() int {
	far := int(maxWindowEach * w.base.least() / time.Millisecond)
	most := min(max(maxWindow, far), maxWindowFar)
	if w.room > 0 {
		most = max(min(most, w.room), leastWindow*w.fragment)
	}
	return most
}

// isWelcome says whether the receiver has room for a fragment beside so many bytes that are in flight, [FRAG-16].
func (w *sendWindow) isWelcome(inFlight int) bool {
	return w.room == 0 || inFlight+w.fragment <= w.room
}

// reach is how far one transfer may get ahead of its first fragment that has not been acknowledged, in bytes,
// [FRAG-13]. A window that finds neither queue nor loss ends up in the socket of the receiver, and whatever small comes
// behind it waits for all of it. Several transfers together may fill the window.
func (w *sendWindow) reach() int {
	return max(int(maxWindowEach*w.base.least()/time.Millisecond), maxWindowEach)
}

// sample takes a measured round trip.
func (w *sendWindow) sample(now, roundTrip time.Duration) {
	if w.smooth == 0 || w.base.least() == 0 { // what was expected may be far too long
		w.smooth = roundTrip
	}
	w.base.measure(now, roundTrip)
	w.smooth += (roundTrip - w.smooth) / 8
	w.round.measure(now, roundTrip, w.smooth)
	if w.late++; roundTrip-w.base.least() <= w.allowed()/2 {
		w.late = 0
	}
	w.steady = w.steady || w.late >= 8
}

// measure takes a round trip. Those of its first half may be of before the queue grew: a bucket was full.
func (r *windowRound) measure(now, roundTrip, smooth time.Duration) {
	isLate := now-r.began > smooth/2
	if r.least == 0 || roundTrip < r.least || isLate && !r.isLate {
		r.least = roundTrip
	}
	r.isLate = isLate
}

// queue is how much longer the round took than the path is.
func (w *sendWindow) queue() time.Duration { return max(w.round.least-w.base.least(), 0) }

// allowed is what of that may be.
func (w *sendWindow) allowed() time.Duration {
	steady := min(max(w.base.least()/4, queueLeast), queueMost)
	return max(steady, min(steady+4*w.noise, noisyMost))
}

// wake begins a round with what is sent now, after a pause: nothing was in flight.
func (w *sendWindow) wake(now, progress time.Duration, next sendOrder) {
	if gap := now - progress; gap > pauseFrom || gap > w.smooth && !w.round.isFull {
		w.round = windowRound{until: next, began: now}
	}
}

// ack takes bytes that have arrived.
func (w *sendWindow) ack(bytes int) {
	w.round.acked += bytes
	if !w.steady && w.round.isFull {
		w.size = min(w.size+bytes, w.limit())
	}
}

// lose takes bytes that were lost. Slow start is left at the first.
func (w *sendWindow) lose(bytes int) {
	w.round.lost += bytes
	if !w.steady {
		w.steady, w.step = true, w.size/8
	}
}

// arrivedLate takes back what lose took: the bytes were only overtaken.
func (w *sendWindow) arrivedLate(bytes int) {
	w.round.lost = max(w.round.lost-bytes, 0)
	w.round.acked += bytes
}

// endRound judges the round if it is over, and begins the next: newest is the newest sending that has arrived, next the
// next to be sent.
func (w *sendWindow) endRound(now time.Duration, newest, next sendOrder) {
	r := w.round
	if newest < r.until || r.acked+r.lost < roundLeast*w.fragment {
		return
	}
	if w.settles {
		w.settles = false
	} else {
		w.judge(now, windowSign{w.size, w.queue(), float64(r.lost) / float64(r.acked+r.lost)})
	}
	w.round = windowRound{until: next, began: now}
}

// judge draws the conclusions from a round.
func (w *sendWindow) judge(now time.Duration, s windowSign) {
	w.learn(s)
	w.noise, w.waited = w.noise+((s.queue-w.waited).Abs()-w.noise)/4, s.queue
	excess := s.share - w.tolerated
	w.lost, w.known = w.lost*3/4+float64(w.round.lost), w.known*3/4+float64(w.round.acked+w.round.lost)
	switch {
	case w.lost > float64(2*w.fragment)+(lossLarge+w.tolerated)*w.known && excess > 0:
		w.slowDown(now)
		w.shrink(windowSign{size: s.size, share: s.share}, 1-2*excess)
	case w.queue() > w.allowed():
		w.shrink(windowSign{size: s.size, queue: s.queue},
			float64(w.base.least()+w.allowed())/float64(w.base.least()+s.queue))
	default:
		w.grow(s)
	}
}

// learn finds out whether it helped that the window was made smaller. Where it did not, its sender is not what fills
// the path, or the path is another by now, or loses as much whatever is sent.
func (w *sendWindow) learn(s windowSign) {
	b := w.before
	w.before = windowSign{}
	switch {
	case b.queue > 0 && s.size <= b.size*3/4 && s.queue > b.queue*3/4:
		if w.vain++; w.vain < 2 {
			return
		}
		w.vain, w.base = 0, base{}
		w.base.measure(w.base.since, w.round.least)
		w.size, w.steady = max(w.size, firstWindow), false
	case b.share > 0 && b.share < 1.0/3 && s.share > b.share/2 && b.expects(s.size) < b.share/4:
		if w.vain++; w.vain < 2 {
			return
		}
		w.tolerated, w.most, w.lossy = min((w.tolerated+s.share)/2, toleratedMost), 0, true
	case s.share < w.tolerated:
		w.tolerated -= (w.tolerated - s.share) / 4
	case b.size > 0:
		w.vain = 0
	}
}

// shrink makes the window smaller, to no less than half.
func (w *sendWindow) shrink(why windowSign, factor float64) {
	w.steady, w.settles, w.before = true, true, why
	w.size = max(int(float64(w.size)*max(factor, 0.5)), leastWindow*w.fragment)
	w.step = w.size / 32
}

// slowDown bounds the speed by what passed in the round. On a short path behind a bucket that holds nothing, the least
// window is too much.
func (w *sendWindow) slowDown(now time.Duration) {
	w.lost, w.known, w.ceiling = 0, 0, w.size
	took := max(now-w.round.began, time.Microsecond)
	if w.smooth >= pacedFrom && w.size > 4*w.fragment {
		passed := float64(w.round.acked) / float64(took) * float64(w.smooth)
		if w.round.lost > w.round.acked/3 && took > w.smooth {
			w.size = min(w.size, 2*int(passed)) // of which shrink leaves half
		}
		return // the window alone slows down
	}
	if w.most == 0 && w.round.acked <= 4*firstWindow && w.round.lost > w.round.acked/2 {
		took = max(took, 25*time.Millisecond)
	}
	if w.faster = 1.0 / 32; w.most == 0 {
		w.faster = 1.0 / 4
	}
	w.most = max(float64(w.round.acked)/took.Seconds(), leastPace)
}

// grow makes the window larger, by twice as much in each round without a sign, while no queue is seen.
func (w *sendWindow) grow(s windowSign) {
	isBound := w.most > 0 && w.most < w.speed()
	w.most *= 1 + max(w.faster, 1.0/32)
	if w.faster = min(2*max(w.faster, 1.0/32), 0.25); w.most > 2*w.speed() {
		w.most = 0
	}
	if !w.steady || !w.round.isFull || isBound || s.queue > w.allowed()/2 {
		return
	}
	w.step = min(max(w.step, w.fragment), w.size/4)
	if left := w.ceiling - w.size; left > 0 && w.step > left/4 {
		w.step = max(left/4, w.fragment) / 2
	}
	w.size = min(w.size+max(w.step, w.fragment), w.limit())
	w.step *= 2
}

// restart begins anew after a silence: nothing is known of the path any more. What is in flight is not judged.
func (w *sendWindow) restart(next sendOrder) {
	size := min(w.size, max(firstWindow, leastWindow*w.fragment))
	*w = sendWindow{size: size, fragment: w.fragment, room: w.room, most: w.most, tolerated: w.tolerated,
		lossy: w.lossy, smooth: w.smooth, round: windowRound{until: next}, settles: true}
}

// speed is a window in each round trip, in bytes a second.
func (w *sendWindow) speed() float64 {
	return float64(w.size) / max(w.smooth, time.Microsecond).Seconds()
}

// pace is the speed at which fragments go, in bytes a second; 0: as fast as the window lets them.
func (w *sendWindow) pace() float64 {
	speed := 0.0
	if w.smooth >= pacedFrom {
		speed = 1.25 * w.speed()
		if !w.steady {
			speed = 2 * w.speed()
		}
	}
	if w.most > 0 && (speed == 0 || w.most < speed) {
		return w.most
	}
	return speed
}

// A base is the shortest round trip of the last 10 to 20 s. The zero value knows none.
type base struct {
	now, last time.Duration // the shortest since, and before it; 0: none
	since     time.Duration
}

func (b *base) measure(now, roundTrip time.Duration) {
	if now-b.since > baseFor {
		b.last, b.now, b.since = b.now, 0, now
	}
	if b.now == 0 || roundTrip < b.now {
		b.now = roundTrip
	}
}

// least is the shortest; 0: none is known.
func (b *base) least() time.Duration {
	if b.last == 0 || b.now > 0 && b.now < b.last {
		return b.now
	}
	return b.last
}
