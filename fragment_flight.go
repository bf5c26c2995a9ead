package broach

import "time"

const (
	// lossThreshold is [FRAG-5]: the network may change the order of fragments by so many.
	lossThreshold = 3

	// afterTimeout is how many fragments break the silence: with 2, simulations at 20 % loss took twice as long; with
	// a whole window, they sent a tenth more.
	afterTimeout = 4

	// slowestRetry bounds the doubling of the retransmission time, so that a transfer goes on
	// soon after the network, or memory at the receiver, has come back.
	slowestRetry = 200 * time.Millisecond
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
	of    *outgoing
	at    time.Duration // since flight.epoch
	index uint32
	again bool // it was sent before: which sending an acknowledgement means is not known
}

// A lostFragment waits to be sent again.
type lostFragment struct {
	of    *outgoing
	index uint32
}

// isLost is false when the fragment was acknowledged after all, its transfer ended, or it was sent again.
func (l lostFragment) isLost() bool {
	return l.of.base <= l.index && l.index < l.of.next && *l.of.order(l.index) == notInFlight
}

// A flight is what is in flight on a link, in the order of sending, over all its transfers.
//
//	count = number of orders in all transfers that are neither notInFlight nor acknowledged
//	sent  = the sendings first, first+1, ...; the first of them is in flight, others may be over
type flight struct {
	epoch  time.Time // the zero of all times below
	window sendWindow
	count  int

	sent  ring[sentFragment]
	first sendOrder
	lost  ring[lostFragment] // not before sent: lost first. Some may have arrived since

	// What the link asks for to judge the packet size, and clears.
	lostAgain bool   // a fragment was lost that had been sent before, or the silence went on after a time-out
	passed    uint32 // bytes in the largest fragment that arrived, the last ones of transfers not counted

	newest    sendOrder     // highest known to have arrived
	recover   sendOrder     // losses of earlier sendings have been answered by a smaller window
	progress  time.Duration // when a fragment was last acknowledged
	timeouts  int           // since then
	undo      sendWindow    // the window before the newest time-out, until that is known to be right or wrong
	roundTrip time.Duration // newest measurement
	measured  sendOrder     // by which sending
	reach     reach
}

func (f *flight) init(now time.Time) {
	*f = flight{epoch: now, window: sendWindow{size: firstWindow}, first: 1}
}

// hasRoom says whether another fragment may go. After a time-out only a few may, until one is acknowledged: often
// all has arrived and the acknowledgement was lost, or the receiver was slow.
func (f *flight) hasRoom() bool {
	if f.timeouts > 0 {
		return f.count < afterTimeout
	}
	return f.count < f.window.size
}

// send records a sending.
func (f *flight) send(now time.Time, t *outgoing, index uint32) {
	*t.order(index) = f.next()
	f.sent.push(sentFragment{of: t, at: now.Sub(f.epoch), index: index, again: index < t.high})
	f.count++
}

// recall takes a fragment out of flight without a verdict on the network.
func (f *flight) recall(t *outgoing, index uint32) {
	order := t.order(index)
	if order.inFlight() {
		f.count--
	}
	*order = notInFlight
}

// acknowledge takes a fragment out of flight that has arrived.
func (f *flight) acknowledge(now time.Time, t *outgoing, index uint32) {
	place := t.order(index)
	order := *place
	if order == acknowledged {
		return
	}
	*place = acknowledged
	f.progress, f.timeouts = now.Sub(f.epoch), 0
	if order == notInFlight && f.undo.size > 0 {
		f.window, f.undo = f.undo, sendWindow{} // it arrived and was not sent again: nothing was lost, somebody was late
	}
	if order.inFlight() {
		f.count--
		f.arrived(order, *f.sent.at(int(order - f.first)))
	}
}

// arrived draws the conclusions from an acknowledged sending.
func (f *flight) arrived(order sendOrder, s sentFragment) {
	took := f.progress - s.at
	if !s.again && order > f.measured {
		f.roundTrip, f.measured = max(took, 1), order
		f.reach.measure(f.roundTrip)
	}
	// An acknowledgement within half a round trip of the second sending is taken to mean the first: it was late, not lost.
	if !s.again || took >= f.roundTrip/2 {
		f.newest = max(f.newest, order)
	}
	if order >= f.recover {
		f.window.grow()
	}
	if s.index+1 < s.of.count {
		f.passed = max(f.passed, s.of.size)
	}
}

// trim follows whatever takes fragments out of flight: afterwards the oldest sending is in flight, or there is none.
func (f *flight) trim() {
	for f.sent.len() > 0 && f.isOver() {
		f.drop()
	}
}

// detectLoss is [FRAG-5], first half.
func (f *flight) detectLoss() {
	shrink := false
	for f.sent.len() > 0 && (f.isOver() || f.first+lossThreshold <= f.newest) {
		order := f.first
		if f.drop() && order >= f.recover {
			shrink = true
		}
	}
	if shrink {
		f.undo = sendWindow{}
		f.window.halve()
		f.recover = f.next()
	}
}

// next returns the order of the next sending.
func (f *flight) next() sendOrder { return f.first + sendOrder(f.sent.len()) }

// isOver says that the oldest sending is in flight no more.
func (f *flight) isOver() bool {
	s := f.sent.at(0)
	return *s.of.order(s.index) != f.first
}

// drop forgets the oldest sending. It returns true when it was in flight, and so is lost now.
func (f *flight) drop() bool {
	over, s := f.isOver(), f.sent.pop()
	f.first++
	if over {
		return false
	}
	f.lostAgain = f.lostAgain || s.again
	f.recall(s.of, s.index)
	f.lost.push(lostFragment{s.of, s.index})
	return true
}

// nextLost returns the fragment that has been lost for the longest time: nil when none is.
func (f *flight) nextLost() (*outgoing, uint32) {
	for f.lost.len() > 0 {
		l := *f.lost.at(0)
		if l.isLost() {
			return l.of, l.index
		}
		f.lost.pop()
	}
	return nil, 0
}

// deadline returns when the silence has lasted for the retransmission time; zero when nothing is in flight.
func (f *flight) deadline(rto time.Duration) time.Time {
	if f.count == 0 {
		return time.Time{}
	}
	return f.epoch.Add(max(f.sent.at(0).at, f.progress) + f.patience(rto))
}

func (f *flight) patience(rto time.Duration) time.Duration {
	return min(rto<<min(f.timeouts, 10), max(rto, slowestRetry))
}

// timeout is [FRAG-5], second half.
func (f *flight) timeout(now time.Time, rto time.Duration) {
	if f.count == 0 || now.Before(f.deadline(rto)) {
		return
	}
	before := now.Sub(f.epoch) - f.patience(rto)
	for f.sent.len() > 0 && (f.isOver() || f.sent.at(0).at <= before) {
		f.drop()
	}
	if f.timeouts == 0 {
		f.undo = f.window
		f.window.halve()
	} else {
		f.window.collapse()
	}
	f.lostAgain = f.lostAgain || f.timeouts > 0
	f.timeouts++
	f.recover = f.next()
}
