package transfer

import (
	"time"

	"broach/internal/ring"
)

const (
	// lossThreshold is [FRAG-5]: the network may change the order of fragments by so many. Where it was more, and
	// fragments that were sent again had only been overtaken, it is twice as many, up to lossThresholdMost.
	lossThreshold     = 3
	lossThresholdMost = 48

	// afterTimeout is how many fragments break the silence, whatever the window says: with 1, often the answer is lost
	// as well.
	afterTimeout = 2

	// slowestRetry bounds the doubling of the retransmission time, so that a transfer goes on
	// soon after the network, or memory at the receiver, has come back.
	slowestRetry = 200 * time.Millisecond

	// After so many time-outs in a row, and so long, the path may be another: its window begins anew.
	anewAfter = 3
	anewFrom  = 100 * time.Millisecond

	// A large fragment that is lost a second time weighs as much as so many that arrive: it is as often where 16 % are
	// lost. So many more of them are too many.
	twiceWeight = 32
	twiceMost   = 8
)

// A sendOrder is the place of one sending among all fragments sent on a link, from 1: or what became of it.
type sendOrder uint64

const (
	notInFlight  sendOrder = 0         // never sent, or lost
	acknowledged sendOrder = 1<<64 - 1 // arrived
)

func (o sendOrder) inFlight() bool { return o != notInFlight && o != acknowledged }

// A sentFragment remembers one sending of a fragment, until the fragment is acknowledged or lost.
type sentFragment struct {
	of *Outgoing
	sending
	before sending // the one before, if it was sent again
	index  uint32
	again  bool
}

// A sending is when a fragment was sent, since flight.epoch, and the low 32 bits of the number of its datagram.
type sending struct {
	at     time.Duration
	number uint32
}

// isYoungerThan says that an acknowledgement whose newest datagram is that one does not mean this sending.
func (s sentFragment) isYoungerThan(newest uint32) bool { return int32(newest-s.number) < 0 }

// A lostFragment waits to be sent again.
type lostFragment struct {
	of    *Outgoing
	index uint32
	sending
}

// isLost is false when the fragment was acknowledged after all, its transfer ended, or it was sent again.
func (l lostFragment) isLost() bool {
	return l.of.base <= l.index && l.index < l.of.next && *l.of.order(l.index) == notInFlight
}

// A flight is what is in flight on a link, in the order of sending, over all its transfers.
//
//	count = number of orders in all transfers that are neither notInFlight nor acknowledged
//	bytes = what these are
//	sent  = the sendings first, first+1, ...; the first of them is in flight, others may be over
type flight struct {
	epoch  time.Time // the zero of all times below
	window sendWindow
	pacer  pacer
	count  int
	bytes  int

	sent  ring.Ring[sentFragment]
	first sendOrder
	lost  ring.Ring[lostFragment] // not before sent: lost first. Some may have arrived since

	// What the link asks for to judge the packet size, and clears.
	lostAgain bool   // a fragment was lost that had been sent before, or the silence went on after a time-out
	lossy     bool   // too many large ones were, [PATH-9]
	passed    uint32 // bytes in the largest fragment that arrived, the last ones of transfers not counted

	twice     int           // large ones that were lost a second time, each by its weight, less those that arrived
	newest    sendOrder     // highest known to have arrived
	threshold sendOrder     // by how many later ones a fragment is overtaken that is lost
	progress  time.Duration // when a fragment was last acknowledged
	timeouts  int           // since then
	asked     time.Duration // when the last of them was
	extra     int           // fragments that may go beyond the window, to break the silence
	roundTrip time.Duration // newest measurement
	measured  uint32        // by the datagram with that number, its low 32 bits
}

func (f *flight) init(now time.Time, fragment int) {
	*f = flight{epoch: now, window: newWindow(fragment), first: 1, threshold: lossThreshold}
}

// hasRoom says whether the window lets another fragment go. After a time-out only a few may, until one is acknowledged:
// often all has arrived and the acknowledgement was lost, or the receiver was slow.
func (f *flight) hasRoom() bool {
	return f.extra > 0 || f.count == 0 ||
		f.timeouts == 0 && f.bytes < f.window.size && (f.count < leastWindow || f.window.isWelcome(f.bytes))
}

// mayGo says whether one may go now.
func (f *flight) mayGo(now time.Time) bool { return f.pacer.mayGo(now.Sub(f.epoch)) }

// send records a sending, in a datagram with that number.
func (f *flight) send(now time.Time, t *Outgoing, index, number uint32) {
	at := now.Sub(f.epoch)
	if f.count == 0 {
		f.window.wake(at, f.progress, f.next())
	}
	*t.order(index) = f.next()
	s := sentFragment{of: t, index: index, sending: sending{at, number}, again: index < t.high}
	if f.lost.Len() > 0 && f.lost.At(0).of == t && f.lost.At(0).index == index {
		s.before = f.lost.At(0).sending
	}
	f.sent.Push(s)
	f.count++
	f.bytes += t.length(index)
	f.extra = max(f.extra-1, 0)
	f.window.resize(t.weight(index))
	f.pacer.sent(at, t.weight(index), f.window.fragment, f.window.pace())
}

// recall takes a fragment out of flight without a verdict on the network.
func (f *flight) recall(t *Outgoing, index uint32) {
	order := t.order(index)
	if order.inFlight() {
		f.leave(t, index)
	}
	*order = notInFlight
}

// leave counts a fragment of t as no longer in flight.
func (f *flight) leave(t *Outgoing, index uint32) {
	f.count--
	f.bytes -= t.length(index)
}

// acknowledge takes a fragment out of flight that has arrived: newest is the number of the newest datagram that brought
// one of its transfer.
func (f *flight) acknowledge(now time.Time, t *Outgoing, index, newest uint32) {
	place := t.order(index)
	order := *place
	if order == acknowledged {
		return
	}
	*place = acknowledged
	f.progress, f.timeouts, f.extra = now.Sub(f.epoch), 0, 0
	if order == notInFlight {
		f.overtaken(t)
		return
	}
	f.leave(t, index)
	f.arrived(order, *f.sent.At(int(order - f.first)), newest)
}

// arrived draws the conclusions from an acknowledged sending.
func (f *flight) arrived(order sendOrder, s sentFragment, newest uint32) {
	if s.again && s.isYoungerThan(newest) {
		f.measure(s.before, newest)
		f.overtaken(s.of)
		return
	}
	f.measure(s.sending, newest)
	f.newest = max(f.newest, order)
	f.window.ack(s.of.weight(s.index))
	f.twice = max(f.twice-1, 0)
	f.passed = max(f.passed, s.of.passes(s.index))
}

// measure takes the round trip of a sending, if it was in the newest datagram that has arrived.
func (f *flight) measure(s sending, newest uint32) {
	if s.number == newest && int32(s.number-f.measured) > 0 {
		f.roundTrip, f.measured = max(f.progress-s.at, 1), s.number
		f.window.sample(f.progress, f.roundTrip)
	}
}

// overtaken notes that a fragment has arrived that was taken as lost.
func (f *flight) overtaken(t *Outgoing) {
	f.window.arrivedLate(int(t.size))
	f.threshold = min(2*f.threshold, lossThresholdMost)
}

// trim follows whatever takes fragments out of flight: afterwards the oldest sending is in flight, or there is none.
func (f *flight) trim() {
	for f.sent.Len() > 0 && f.isOver() {
		f.drop()
	}
}

// detectLoss is [FRAG-5], first half, and judges the window.
func (f *flight) detectLoss() {
	for f.sent.Len() > 0 && (f.isOver() || f.first+f.threshold <= f.newest) {
		size := f.sent.At(0).of.weight(f.sent.At(0).index)
		if f.drop() {
			f.window.lose(size)
		}
	}
	f.window.endRound(f.progress, f.newest, f.next())
}

// next returns the order of the next sending.
func (f *flight) next() sendOrder { return f.first + sendOrder(f.sent.Len()) }

// isOver says that the oldest sending is in flight no more.
func (f *flight) isOver() bool {
	s := f.sent.At(0)
	return *s.of.order(s.index) != f.first
}

// drop forgets the oldest sending. It returns true when it was in flight, and so is lost now.
func (f *flight) drop() bool {
	over, s := f.isOver(), f.sent.Pop()
	f.first++
	if over {
		return false
	}
	if s.again {
		f.loseAgain(s)
	}
	f.recall(s.of, s.index)
	f.lost.Push(lostFragment{s.of, s.index, s.sending})
	return true
}

// loseAgain notes that a fragment was lost that had been sent before. A long silence says nothing of its size.
func (f *flight) loseAgain(s sentFragment) {
	f.lostAgain = true
	if s.of.weight(s.index) <= usualFragment || f.timeouts > 1 {
		return
	}
	if f.twice += twiceWeight; f.twice > twiceWeight*twiceMost {
		f.lossy, f.twice = true, 0
	}
}

// nextLost returns the fragment that has been lost for the longest time: nil when none is.
func (f *flight) nextLost() (*Outgoing, uint32) {
	for f.lost.Len() > 0 {
		l := *f.lost.At(0)
		if l.isLost() {
			return l.of, l.index
		}
		f.lost.Pop()
	}
	return nil, 0
}

// deadline returns when the silence has lasted for the retransmission time; zero when nothing is in flight.
func (f *flight) deadline(rto time.Duration) time.Time {
	if f.count == 0 {
		return time.Time{}
	}
	return f.epoch.Add(f.quietSince() + f.patience(rto))
}

// quietSince is when something last happened that a time-out waits for.
func (f *flight) quietSince() time.Duration { return max(f.sent.At(0).at, f.progress, f.asked) }

// patience is how long the silence may last. On a way so thin that its speed is bounded, what is sent takes longer than
// on it.
func (f *flight) patience(rto time.Duration) time.Duration {
	if f.window.most > 0 {
		rto = max(rto, costOf(3*f.window.fragment, f.window.most))
	}
	return min(rto<<min(f.timeouts, 10), max(rto, slowestRetry))
}

// timeout is [FRAG-5], second half: the oldest go again, and what comes of that says what became of the others.
func (f *flight) timeout(now time.Time, rto time.Duration) {
	if f.count == 0 || now.Before(f.deadline(rto)) {
		return
	}
	f.asked = now.Sub(f.epoch)
	silence := f.asked - f.progress
	for n := 0; n < afterTimeout && f.sent.Len() > 0; {
		if f.drop() {
			n++
		}
	}
	f.trim()
	f.lostAgain = f.lostAgain || f.timeouts > 0
	f.timeouts++
	f.extra = afterTimeout
	if f.timeouts >= anewAfter && silence >= anewFrom {
		f.window.restart(f.next())
	}
}
