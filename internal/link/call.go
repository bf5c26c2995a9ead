package link

import (
	"bytes"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"broach/internal/buffer"
	"broach/internal/stream"
	"broach/internal/wire"
)

// The caller's steps of a link, PROTOCOL.md 2.5.

// Outcome is how a call ended.
type Outcome struct {
	Code     wire.Code // 0: done
	Executed wire.Executed
	// the code is that of a call which the function made, [CALL-19]
	Forwarded bool
	Gone      bool   // the membership found the provider to be away
	Body      []byte // results, or the text of the error
	Causes    []byte // of the error
}

// Call is a caller that waits.
type Call struct {
	Done chan struct{} // gets one value when the outcome is set
	Outcome
	Node netip.AddrPort // that ran or took the call, if nothing went wrong
	At   time.Time      // when its caller knew that
	// of a call that streams, until it ends: its Request has room in its metadata for what the link says of them
	Streams *stream.Pair
	kept    []byte // memory that Body may use again
	whole   []byte // the transfer that Body is part of
	of      *Carrier
	loans   atomic.Uint64 // how often Body was lent and given back

	sending sync.WaitGroup // datagrams of its Request that are just being sent, as far as they are a part of its tail
}

// AwaitSent waits until nothing of a call that has ended is being sent from the tail of its Request. Nearly always that
// is at once, else it takes as long as the system takes for a batch of datagrams.
func (p *Call) AwaitSent() { p.sending.Wait() }

// Lend lends Body to whoever has the result, who gives it back in place of FreeCall. If he never does, it is the
// collector's.
func (p *Call) Lend() buffer.Loan { return buffer.Lend(p, p.loans.Load()) }

// TakeBack frees the call when the loan of that turn ends. Also a Body that is the collector's then, as after a call
// within the process, is not read any more.
func (p *Call) TakeBack(turn uint64) {
	if p.loans.CompareAndSwap(turn, turn+1) {
		buffer.Poison(p.Body)
		p.of.FreeCall(p)
	}
}

// endCopied sets the outcome and wakes the caller. body and causes are copied.
func (p *Call) endCopied(o Outcome) {
	p.kept = append(p.kept[:0], o.Body...)
	o.Body, o.Causes = p.kept, bytes.Clone(o.Causes)
	p.EndOwned(o)
}

// EndOwned sets the outcome and wakes the caller, for a body that now belongs to the call. The Call was its ender's
// alone, who has taken it out of its slot or its request, and is the caller's alone from here on.
func (p *Call) EndOwned(o Outcome) {
	p.Outcome = o
	p.Done <- struct{}{} // never blocks: room for one, and a call ends once
}

// doubtAfter is how often a request is sent again, with nothing heard of the peer, before the peer is probed, [MEM-11].
const doubtAfter = 2

// stoodStill is how late the loop finds what is due when this process did not run: far above what a scheduler does.
const stoodStill = 100 * time.Millisecond

// deafAfter is the same for a peer that is heard of: it may not hear us, [MEM-22].
const deafAfter = 4

var (
	ErrDown     = errors.New("the process is gone")
	errLinkFull = errors.New("65,536 calls are in flight to the peer")
	textSilent  = []byte("the provider did not answer within the acknowledgement time")
	textLate    = []byte("no reply within the deadline")
)

// Send sends a Request, whose frame it takes over, and says where: the request id is needed to abandon the call. p, and
// the tail of the frame, are the link's until the outcome is there, or Abandon has reported that it was still waited
// for, and AwaitSent has returned: it may be sent from where it is. A tail is larger than a datagram.
// An error means that nothing was sent.
func (l *Link) Send(now, deadline time.Time, frame *buffer.Buffer, p *Call) (slot uint16, seq uint32, err error) {
	l.mu.Lock()
	if l.down {
		l.mu.Unlock()
		return 0, 0, ErrDown
	}
	x := l.talk(now)
	if p.Streams != nil && !x.hasRoomForStreams(true) {
		l.mu.Unlock()
		return 0, 0, errStreams
	}
	slot, c, ok := x.calls.takeSlot(now, deadline, p)
	if !ok {
		l.mu.Unlock()
		return 0, 0, errLinkFull
	}
	c.request = frame
	seq = c.seq
	wire.SetRequestID(frame.B, slot, seq)
	if p.Streams != nil {
		x.callStreams(now, slot, c)
	}
	x.sendRequest(now, slot, c)
	l.flush()
	return slot, seq, nil
}

// sendRequest sends the request of a slot for the first time.
func (x *exchange) sendRequest(now time.Time, slot uint16, c *callSlot) {
	if c.request.Tail == nil && x.fits(c.request.B) {
		c.pace, c.went = x.rtt.timeout(), true
		x.post(c.request.B)
	} else {
		x.moveRequest(slot, c)
	}
	x.calls.arm(c, now, x.silentAt(c))
}

// moveRequest sends the request of a slot as a transfer, which sees to its own resends.
func (x *exchange) moveRequest(slot uint16, c *callSlot) {
	c.state, c.pace = callMoving, x.link.carrier.Silence
	c.transfer = x.transfer(c.request.B, c.request.Tail, callTag(slot, c.seq))
}

// fits reports whether an encoded message goes in one datagram.
func (x *exchange) fits(frame []byte) bool {
	return len(frame) <= min(x.path.size, longest)-wire.HeaderSize
}

// silentAt is when the peer will have been silent for too long for a call, [CALL-11].
func (x *exchange) silentAt(c *callSlot) time.Time {
	at := c.sentAt
	if heard := x.link.LastHeard(); heard.After(at) {
		at = heard
	}
	return at.Add(x.link.carrier.Silence)
}

// Abandon gives a call up, and reports whether it was still waited for. If it was not, its outcome is there.
func (l *Link) Abandon(slot uint16, seq uint32) bool {
	l.mu.Lock()
	if l.down {
		l.mu.Unlock()
		return false
	}
	x := l.exchange
	c := x.calls.waiting(slot, seq)
	if c != nil {
		x.endCall(slot, c)
		say(x, wire.Cancel{Slot: slot, Seq: seq})
	}
	l.flush()
	return c != nil
}

// endCall frees the slot of a call and stops what is still under way for it.
func (x *exchange) endCall(slot uint16, c *callSlot) *Call {
	x.stopSending(c)
	p := x.calls.freeSlot(slot)
	if p.Streams != nil {
		x.endFlow(x.streams.ours[slot])
	}
	return p
}

// stopSending ends the transfer of a request, if it goes on.
func (x *exchange) stopSending(c *callSlot) {
	if c.state != callMoving {
		return
	}
	if _, ok := x.sending.Stop(c.transfer); ok {
		say(x, wire.Stop{Transfer: c.transfer})
	}
}

// takeReply ends the call that a Reply answers. body is the transfer that it came as, or nil; then the results are
// copied.
func (x *exchange) takeReply(now time.Time, m wire.Reply, body []byte) {
	if body != nil {
		x.receiving.Release(len(body)) // the caller asked for it: it counts as the caller's from now on
	}
	c := x.calls.waiting(m.Slot, m.Seq)
	if c == nil {
		if body != nil {
			buffer.Recycle(body)
		}
		return
	}
	if c.state == callSent && c.resends == 0 && body == nil { // a transfer takes longer than a round trip
		x.rtt.sample(now, now.Sub(c.sentAt))
	}
	if c.call.Streams != nil && x.holdReply(now, c, m) {
		if body != nil {
			buffer.Recycle(body)
		}
		return
	}
	p := x.endCall(m.Slot, c)
	o := Outcome{
		Code: m.Code, Executed: m.Executed, Forwarded: m.Forwarded, Body: m.Body, Causes: m.Causes,
	}
	if body == nil {
		p.endCopied(o)
		return
	}
	p.whole = body
	p.EndOwned(o)
}

// takeProgress notes that the provider has the request.
func (x *exchange) takeProgress(now time.Time, m wire.Progress) {
	if c := x.calls.waiting(m.Slot, m.Seq); c != nil {
		x.taken(now, c)
	}
}

// taken notes that the provider has the request of a slot.
func (x *exchange) taken(now time.Time, c *callSlot) {
	x.stopSending(c)
	if sample, ok := x.calls.taken(c, now, x.silentAt(c)); ok {
		x.rtt.sample(now, sample)
	}
}

// resend does what is due for calls: each is sent again, asked after, or given up. It reports whether the peer has been
// silent for so many of them that it should be probed.
func (x *exchange) resend(now time.Time) (unanswered bool) {
	for slot, c := range x.calls.overdue(now) {
		switch {
		case !now.Before(c.deadline):
			say(x, wire.Cancel{Slot: slot, Seq: c.seq})
			x.endCall(slot, c).endCopied(Outcome{Code: wire.DeadlineExceeded, Body: textLate})
			continue
		case !now.Before(x.silentAt(c)) && x.bearsWith(now, c):
			continue
		case !now.Before(x.silentAt(c)):
			x.endCall(slot, c).endCopied(Outcome{Code: wire.Unreachable, Body: textSilent})
			continue
		case c.state == callSent && x.isEarly(now, c):
			c.pace = x.rtt.measured() - now.Sub(c.sentAt)
		case c.state == callSent:
			x.resendRequest(now, slot, c)
			unanswered = unanswered || c.resends >= deafAfter ||
				c.resends >= doubtAfter && x.link.LastHeard().Before(c.sentAt)
		case c.state == callTaken:
			say(x, wire.Poll{Slot: slot, Seq: c.seq})
			c.pace = x.pollPace(now, c)
		}
		x.calls.arm(c, now, x.silentAt(c))
	}
	return unanswered
}

// bearsWith reports that a silent call is found so late that this process did not run, [CALL-11]: what came meanwhile
// is to be read first. It is looked at again after as long as that took. If nothing has come by then, it was due after
// the silence was too long, and ends.
func (x *exchange) bearsWith(now time.Time, c *callSlot) bool {
	late := now.Sub(c.due)
	if late < stoodStill || c.due.After(x.silentAt(c)) {
		return false
	}
	c.pace = min(late, x.link.carrier.Silence)
	x.calls.arm(c, now, now.Add(c.pace))
	return true
}

// isEarly reports that a request that went once has not waited for the retransmission time as it is known by now.
func (x *exchange) isEarly(now time.Time, c *callSlot) bool {
	return c.resends == 0 && now.Sub(c.sentAt) < x.rtt.measured()
}

// resendRequest sends the request of a slot again. One that is larger than the packet size is now goes as a transfer:
// to the provider it is a duplicate all the same.
func (x *exchange) resendRequest(now time.Time, slot uint16, c *callSlot) {
	x.path.suspect(now)
	wire.SetRemaining(c.request.B, Remaining(now, c.deadline))
	c.resends = min(c.resends, 100) + 1
	x.resent++
	x.link.carrier.Resent.Add(1)
	if !x.fits(c.request.B) {
		x.moveRequest(slot, c)
		return
	}
	x.repeat(c.request.B)
	x.measure(now)
	c.pace = x.backoff(x.rtt.doubt(c.pace))
	x.rtt.backOff(c.pace)
}

// measure sends a Probe along with what is sent again, unless one has gone just now.
func (x *exchange) measure(now time.Time) {
	if x.watch.isDue(now, x.rtt.timeout()) {
		say(x, x.watch.start(now, x.link.carrier.Nonce()))
	}
}

// backoff doubles a pace, with jitter, but not to less than the answer takes.
func (x *exchange) backoff(pace time.Duration) time.Duration {
	d := min(2*pace, max(maxPace, x.rtt.measured()))
	if pace := x.jitter(d); pace >= x.rtt.measured() {
		return pace
	}
	return x.spread(d)
}

// spread lengthens d by up to a half.
func (x *exchange) spread(d time.Duration) time.Duration { return d/4 + x.jitter(d) }

// pollPace is when a Poll is repeated that is not answered: like a request. An answer sets the pace back, see
// callSlots.taken.
func (x *exchange) pollPace(now time.Time, c *callSlot) time.Duration {
	if !c.asked {
		c.asked = true
		return x.spread(x.rtt.timeout())
	}
	x.measure(now)
	return x.backoff(c.pace)
}

// jitter shortens or lengthens d by up to a quarter, so that callers who lost together do not resend together.
func (x *exchange) jitter(d time.Duration) time.Duration {
	return d - d/4 + time.Duration(x.link.rng.Uint64()%uint64(d/2+1))
}

// endCalls ends all calls in flight.
func (x *exchange) endCalls(o Outcome) {
	for slot, c := range x.calls.all() {
		x.endCall(slot, c).endCopied(o)
	}
}

// Remaining is the time to a deadline as it travels: milliseconds, rounded up, and those of 49 days if it is farther
// off. A call always has a deadline here.
func Remaining(now, deadline time.Time) uint32 {
	left := deadline.Sub(now) // 292 years at most
	ms := left / time.Millisecond
	if left%time.Millisecond > 0 {
		ms++
	}
	return uint32(min(max(ms, 1), 1<<32-1))
}

// callTag and replyTag name what a transfer carries: the request id, and which side it is of.
func callTag(slot uint16, seq uint32) uint64  { return uint64(slot)<<32 | uint64(seq) }
func replyTag(slot uint16, seq uint32) uint64 { return 1<<63 | callTag(slot, seq) }
