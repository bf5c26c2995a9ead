package link

import (
	"time"

	"broach/internal/buffer"
	"broach/internal/pace"
	"broach/internal/transfer"
	"broach/internal/wire"
)

// The provider's steps of a link, PROTOCOL.md 2.4. Those of transfers are in transfer.go.

// TextBusy is what a call is told for which there is no room, in this process or at a peer. It travels.
const TextBusy = "the provider's queue is full"

var (
	textForgotten = []byte("the reply is no longer kept")
	textTooLarge  = []byte("the reply is larger than the caller takes")
	textBacklog   = []byte("too many large replies are under way")
)

// takeRequest looks at a Request. If it is a new call, the spare becomes its request. The request that had the slot
// before is abandoned if it still runs: its caller waits for it no longer. body is the transfer that the Request came
// as, or nil; it is held until the request is answered.
func (x *exchange) takeRequest(now time.Time, m wire.Request, way Way, body []byte, a *Arrival) {
	a.GoesOn = true
	v := x.served.slot(m.Slot)
	if v.look(m.Seq) != requestNew {
		x.answerAgain(now, v, m.Seq)
		x.letGo(body)
		return
	}
	terms, _ := wire.StreamsIn(m.Meta) // they were looked at when it was read
	isStreamed := (terms.HasIn || terms.HasOut) && way == TwoWay
	a.Abandoned = v.share()
	x.stopReply(v)
	x.endServedFlow(v.id)
	if isStreamed && !x.hasRoomForStreams(false) {
		x.letGo(body)
		v.seq = m.Seq
		x.replyError(now, v, wire.Overloaded, wire.ExecutedNo, textStreams)
		return
	}
	since := now
	if body != nil {
		since = x.receiving.Since
	}
	a.Spare.readFrom(since, m, way, body)
	a.IsNew, a.Service, a.Meta = true, m.Service, m.Meta
	x.served.begin(now, v, m.Seq, a.Spare)
	if body != nil {
		x.served.tell(v) // by the last FragmentAck
	}
	if isStreamed {
		x.serveStreams(now, v, terms, a.Spare)
	}
}

// letGo gives back the memory of a message that came as a transfer, when nobody refers to it any more.
func (x *exchange) letGo(body []byte) {
	if body == nil {
		return
	}
	x.receiving.Release(len(body))
	buffer.Recycle(body)
}

// takeBack is letGo for the transfer that a request came as, if it did.
func (x *exchange) takeBack(r *Request) {
	if r.isLeft && r.CameAsTransfer() {
		x.receiving.Release(len(r.whole))
		return
	}
	x.letGo(r.whole)
}

// takePoll answers how a call is going. A Poll for a call that is not known can only be for one that found no room just
// after its Progress had gone out. The answer is stored, for a Request that was delayed in the network may still come.
// What a late Poll for a newer call finds running, its Request would have replaced too.
func (x *exchange) takePoll(now time.Time, m wire.Poll) (replaced *Request) {
	v := x.served.slot(m.Slot)
	if v.look(m.Seq) != requestNew {
		x.answerAgain(now, v, m.Seq)
		return nil
	}
	replaced = v.share()
	x.stopReply(v)
	x.endServedFlow(v.id)
	v.seq = m.Seq
	x.replyError(now, v, wire.Overloaded, wire.ExecutedNo, []byte(TextBusy))
	return replaced
}

// answerAgain answers a Request or Poll that is not new.
func (x *exchange) answerAgain(now time.Time, v *servedSlot, seq uint32) {
	switch v.look(seq) {
	case requestRunning:
		x.served.tell(v)
		say(x, wire.Progress{Slot: v.id, Seq: seq})
	case requestDone:
		x.path.suspect(now)
		x.replyAgain(now, v)
	case requestForgotten: // [CALL-8]
		say(x, wire.Reply{Slot: v.id, Seq: seq, Code: wire.Unreachable, Executed: v.executed, Body: textForgotten})
	}
}

// takeCancel returns the running request that the caller has given up, if any. A reply under way to it is stopped.
func (x *exchange) takeCancel(m wire.Cancel) *Request {
	v := x.served.slot(m.Slot)
	if v.seq == m.Seq {
		x.endServedFlow(v.id)
	}
	if v.look(m.Seq) != requestRunning {
		return nil
	}
	if v.state == servedMoving {
		x.stopReply(v)
		x.served.drop(v)
	}
	return v.share()
}

// Answer stores and sends the reply of a request: frame is the encoded Reply and now belongs to the link. It reports
// whether the request is nobody's any more but the caller's, so that its memory may be used again.
func (l *Link) Answer(now time.Time, r *Request, frame []byte) (alone bool) {
	l.mu.Lock()
	x := l.exchange
	if r.isLent() {
		x.receiving.Release(len(r.whole)) // it is the reply's from now on
	} else {
		x.takeBack(r)
	}
	if r.Streams != nil && !l.down {
		x.answerStreams(r, frame)
	}
	x.makeRoom(now, r, frame)
	return x.answer(now, r, frame)
}

// AnswerEarly stores and sends the reply of a one-way request, whose slot is free for another from then on.
func (l *Link) AnswerEarly(now time.Time, r *Request, frame []byte) {
	l.mu.Lock()
	l.exchange.answer(now, r, wire.SetLength(frame))
}

// answer does so unless the link is closed, or the slot is another request's. It is called with mu held and releases
// it. The slot lets go of the request: if nobody has taken it up there before, nobody can any more.
func (x *exchange) answer(now time.Time, r *Request, frame []byte) (alone bool) {
	if x.link.down {
		x.link.mu.Unlock()
		return false
	}
	if v := x.served.slot(r.Slot); v.request == r {
		alone = !r.shared
		if r.isLent() {
			x.replyLent(now, v, frame, r)
		} else {
			x.reply(now, v, frame)
		}
	}
	x.link.flush()
	return alone
}

// GiveBack gives back the memory of a request that came as a transfer and was answered by AnswerEarly. Answer does so
// itself, for its request is over; a one-way request still runs when it is answered.
func (l *Link) GiveBack(r *Request) {
	l.mu.Lock()
	l.exchange.takeBack(r)
	l.mu.Unlock()
}

// giveWayMost is how many replies at most give way to one: a worker does not go on for ever where others take the room
// at once.
const giveWayMost = 256

// makeRoom ends replies under way to other peers that have more of them, if the reply of a request needs that. mu is
// held, and let go meanwhile: no two links are ever locked at once.
func (x *exchange) makeRoom(now time.Time, r *Request, frame []byte) {
	for range giveWayMost {
		rich := x.richer(r, frame)
		if rich == nil {
			return
		}
		x.link.mu.Unlock()
		rich.giveWay(now)
		x.link.mu.Lock()
	}
}

// richer returns the exchange that is to give way to the reply of a request, or nil.
func (x *exchange) richer(r *Request, frame []byte) *exchange {
	if x.link.down {
		return nil
	}
	if v := x.served.slot(r.Slot); v.request != r || x.isShort(v, frame) && !r.isLent() {
		return nil
	}
	if rich := x.served.movingBytes.Richer(sizeOf(frame) + r.sizeLent()); rich != nil {
		return rich.Owner.(*exchange)
	}
	return nil
}

// giveWay ends the newest reply under way: of that one the least has been sent in vain.
func (x *exchange) giveWay(now time.Time) {
	x.link.mu.Lock()
	if v := x.served.moving.tail; v != nil {
		x.link.carrier.Unsent.Add(1)
		x.stopReply(v)
		x.replyError(now, v, wire.Overloaded, v.executed, textBacklog)
	}
	x.link.flush()
}

// isShort says whether a reply goes in one datagram, [PATH-7].
func (x *exchange) isShort(v *servedSlot, frame []byte) bool {
	return len(frame) <= BasePacket-wire.HeaderSize || v.state == servedNew && x.fits(frame)
}

// reply stores and sends the reply of a slot. If it cannot be kept or sent, an error goes in its place, with the same
// Executed.
func (x *exchange) reply(now time.Time, v *servedSlot, frame []byte) {
	v.executed = wire.ExecutedIn(frame)
	switch {
	case x.isShort(v, frame):
		x.post(frame)
		x.served.storeReply(now, v, frame)
	case x.served.reserve(sizeOf(frame)):
		x.served.moveReply(now, v, frame, x.transfer(frame, nil, replyTag(v.id, v.seq)))
	default:
		x.link.carrier.Unsent.Add(1)
		x.replyError(now, v, wire.Overloaded, v.executed, textBacklog)
		buffer.Recycle(frame)
	}
}

// replyLent is reply for one that ends with a part of its request. That came as a transfer, whose memory is the reply's
// until it has been sent.
func (x *exchange) replyLent(now time.Time, v *servedSlot, frame []byte, r *Request) {
	v.executed = wire.ExecutedIn(frame)
	lent := &buffer.Buffer{B: r.whole, Tail: r.Args.Tail}
	if !x.served.reserve(sizeOf(frame) + sizeOf(lent.B)) {
		x.link.carrier.Unsent.Add(1)
		x.replyError(now, v, wire.Overloaded, v.executed, textBacklog)
		buffer.Recycle(frame)
		buffer.Recycle(lent.B)
		return
	}
	x.served.moveReply(now, v, frame, x.transfer(frame, lent.Tail, replyTag(v.id, v.seq)))
	v.lent = lent
}

// replyError stores and sends an error as the reply of a slot.
func (x *exchange) replyError(now time.Time, v *servedSlot, code wire.Code, executed wire.Executed, text []byte) {
	x.reply(now, v, wire.Reply{Slot: v.id, Seq: v.seq, Code: code, Executed: executed, Body: text}.Append(nil))
}

// stopReply ends the transfer of a reply that nobody waits for any more. Whatever is done to the slot next drops the
// reply.
func (x *exchange) stopReply(v *servedSlot) {
	if v.state != servedMoving {
		return
	}
	if _, ok := x.sending.Stop(v.transfer); ok {
		say(x, wire.Stop{Transfer: v.transfer})
	}
}

// Forget makes the link forget a request that found no room, [CALL-7].
func (l *Link) Forget(r *Request) {
	l.mu.Lock()
	if !l.down {
		if v := l.exchange.served.slot(r.Slot); v.request == r {
			l.exchange.endServedFlow(v.id)
			l.exchange.served.forget(v)
		}
	}
	l.mu.Unlock()
}

// acknowledge sends the Progress that is due.
func (x *exchange) acknowledge(now time.Time) {
	for v := x.served.unacknowledged(now); v != nil; v = x.served.unacknowledged(now) {
		x.served.tell(v)
		say(x, wire.Progress{Slot: v.id, Seq: v.seq})
	}
	x.served.expire(now)
	x.dropUnheard(now)
}

// dropUnheard is [FRAG-14]. A peer that lives and acknowledges nothing would hold the memory of these replies for ever.
func (x *exchange) dropUnheard(now time.Time) {
	for v := x.served.moving.head; v != nil && !now.Before(x.unheardAt()); v = x.served.moving.head {
		x.stopReply(v)
		x.served.drop(v)
		x.link.carrier.Unsent.Add(1)
	}
}

// unheardAt is when the oldest reply under way is given up; zero: there is none.
func (x *exchange) unheardAt() time.Time {
	if v := x.served.moving.head; v != nil {
		return pace.Later(v.at, x.sending.HeardAt).Add(transfer.Idle)
	}
	return time.Time{}
}

// running lists the requests that run for the peer.
func (x *exchange) running() []*Request {
	var list []*Request
	for v := range x.served.made {
		if r := v.share(); r != nil {
			list = append(list, r)
		}
	}
	return list
}
