package link

import (
	"time"

	"broach/internal/buffer"
	"broach/internal/pace"
	"broach/internal/transfer"
	"broach/internal/wire"
)

// The provider's steps of a link, PROTOCOL.md 2.4. Those of transfers are in transfer.go.

var (
	textForgotten = []byte("the reply is no longer kept")
	textNoRoom    = []byte("the provider's queue is full")
	textTooLarge  = []byte("the reply is larger than the caller takes")
	textBacklog   = []byte("too many large replies are under way")
)

// takeRequest looks at a Request. If it is a new call the spare becomes that, and the one whose slot it takes is
// abandoned, if it still runs. body is the transfer that it came as, or nil: it is held until the request is answered.
func (l *Link) takeRequest(now time.Time, m wire.Request, oneWay bool, body []byte, a *Arrival) {
	a.GoesOn = true
	v := l.exchange.served.slot(m.Slot)
	if v.look(m.Seq) != requestNew {
		l.answerAgain(now, v, m.Seq)
		l.letGo(body)
		return
	}
	since := now
	if body != nil {
		since = l.exchange.receiving.Since
	}
	a.Spare.take(since, m, oneWay, body)
	a.IsNew, a.Service, a.Meta, a.Abandoned = true, m.Service, m.Meta, v.request
	l.stopReply(v)
	l.exchange.served.begin(now, v, m.Seq, a.Spare)
	if body != nil {
		l.exchange.served.tell(v) // by the last FragmentAck
	}
}

// letGo gives back the memory of a message that came as a transfer, when nobody refers to it any more.
func (l *Link) letGo(body []byte) {
	if body == nil {
		return
	}
	if l.exchange != nil {
		l.exchange.receiving.Release(len(body))
	} else {
		l.carrier.memory.Give(int64(len(body))) // the link's own account ended with it
	}
	buffer.Recycle(body)
}

// takePoll answers how a call is going. A Poll for a call that is not known can only be for one that found no room just
// after its Progress had gone out. The answer is stored, for a Request that was delayed in the network may still come.
// What a late Poll for a newer call finds running, its Request would have replaced too.
func (l *Link) takePoll(now time.Time, m wire.Poll) (replaced *Request) {
	v := l.exchange.served.slot(m.Slot)
	if v.look(m.Seq) != requestNew {
		l.answerAgain(now, v, m.Seq)
		return nil
	}
	replaced = v.request
	l.stopReply(v)
	v.seq = m.Seq
	l.replyError(now, v, wire.Overloaded, wire.ExecutedNo, textNoRoom)
	return replaced
}

// answerAgain answers a Request or Poll that is not new.
func (l *Link) answerAgain(now time.Time, v *servedSlot, seq uint32) {
	switch v.look(seq) {
	case requestRunning:
		l.exchange.served.tell(v)
		say(l, wire.Progress{Slot: v.id, Seq: seq})
	case requestDone:
		l.exchange.path.suspect(now)
		l.replyAgain(now, v)
	case requestForgotten: // [CALL-8]
		say(l, wire.Reply{Slot: v.id, Seq: seq, Code: wire.Unreachable, Executed: v.executed, Body: textForgotten})
	}
}

// takeCancel returns the running request that the caller has given up, if any. A reply under way to it is stopped.
func (l *Link) takeCancel(m wire.Cancel) *Request {
	v := l.exchange.served.slot(m.Slot)
	if v.look(m.Seq) != requestRunning {
		return nil
	}
	if v.state == servedMoving {
		l.stopReply(v)
		l.exchange.served.drop(v)
	}
	return v.request
}

// Answer stores and sends the reply of a request: frame is the encoded Reply and now belongs to the link.
func (l *Link) Answer(now time.Time, r *Request, frame []byte) {
	l.mu.Lock()
	l.letGo(r.Body)
	l.makeRoom(now, r, frame)
	if l.down {
		l.mu.Unlock()
		return
	}
	if v := l.exchange.served.slot(r.Slot); v.request == r {
		l.reply(now, v, frame)
	}
	l.flush()
}

// AnswerEarly stores and sends the reply of a one-way request, whose slot is free for another from then on.
func (l *Link) AnswerEarly(now time.Time, r *Request, frame []byte) {
	l.mu.Lock()
	if l.down {
		l.mu.Unlock()
		return
	}
	if v := l.exchange.served.slot(r.Slot); v.request == r {
		l.reply(now, v, wire.SetLength(frame))
	}
	l.flush()
}

// GiveBack gives back the memory of a request that came as a transfer and was answered by AnswerEarly.
func (l *Link) GiveBack(body []byte) {
	l.mu.Lock()
	l.letGo(body)
	l.mu.Unlock()
}

// giveWayMost is how many replies at most give way to one: a worker does not go on for ever where others take the room
// at once.
const giveWayMost = 256

// makeRoom ends replies under way to other peers that have more of them, if the reply of a request needs that. mu is
// held, and let go meanwhile: no two links are ever locked at once.
func (l *Link) makeRoom(now time.Time, r *Request, frame []byte) {
	for range giveWayMost {
		rich := l.richer(r, frame)
		if rich == nil {
			return
		}
		l.mu.Unlock()
		rich.giveWay(now)
		l.mu.Lock()
	}
}

// richer returns the link that is to give way to the reply of a request, or nil.
func (l *Link) richer(r *Request, frame []byte) *Link {
	if l.down {
		return nil
	}
	if v := l.exchange.served.slot(r.Slot); v.request != r || l.isShort(v, frame) {
		return nil
	}
	if rich := l.exchange.served.movingBytes.Richer(sizeOf(frame)); rich != nil {
		return rich.Owner.(*Link)
	}
	return nil
}

// giveWay ends the newest reply under way, of which the least has gone for nothing.
func (l *Link) giveWay(now time.Time) {
	l.mu.Lock()
	if l.exchange != nil && l.exchange.served.moving.tail != nil {
		l.carrier.Unsent.Add(1)
		v := l.exchange.served.moving.tail
		l.stopReply(v)
		l.replyError(now, v, wire.Overloaded, v.executed, textBacklog)
	}
	l.flush()
}

// isShort says whether a reply goes in one datagram, [PATH-7].
func (l *Link) isShort(v *servedSlot, frame []byte) bool {
	return len(frame) <= BasePacket-wire.HeaderSize || v.state == servedNew && l.fits(frame)
}

// reply stores and sends the reply of a slot. What it says of the function holds also for what is said in its place.
func (l *Link) reply(now time.Time, v *servedSlot, frame []byte) {
	v.executed = wire.ExecutedIn(frame)
	switch {
	case l.isShort(v, frame):
		l.post(frame)
		l.exchange.served.done(now, v, frame)
	case l.exchange.served.reserve(frame):
		l.exchange.served.move(now, v, frame, l.transfer(wire.Unframe(frame), replyTag(v.id, v.seq)))
	default:
		l.carrier.Unsent.Add(1)
		l.replyError(now, v, wire.Overloaded, v.executed, textBacklog)
		buffer.Recycle(frame)
	}
}

// replyError stores and sends an error as the reply of a slot.
func (l *Link) replyError(now time.Time, v *servedSlot, code wire.Code, executed wire.Executed, text []byte) {
	l.reply(now, v, wire.Reply{Slot: v.id, Seq: v.seq, Code: code, Executed: executed, Body: text}.Append(nil))
}

// stopReply ends the transfer of a reply that nobody waits for any more. Whatever is done to the slot next drops the
// reply.
func (l *Link) stopReply(v *servedSlot) {
	if v.state != servedMoving {
		return
	}
	if _, ok := l.exchange.sending.Stop(v.transfer); ok {
		say(l, wire.Stop{Transfer: v.transfer})
	}
}

// Forget makes the link forget a request that found no room, [CALL-7].
func (l *Link) Forget(r *Request) {
	l.mu.Lock()
	if l.exchange != nil {
		if v := l.exchange.served.slot(r.Slot); v.request == r {
			l.exchange.served.forget(v)
		}
	}
	l.mu.Unlock()
}

// acknowledge sends the Progress that is due.
func (l *Link) acknowledge(now time.Time) {
	for v := l.exchange.served.unacknowledged(now); v != nil; v = l.exchange.served.unacknowledged(now) {
		l.exchange.served.tell(v)
		say(l, wire.Progress{Slot: v.id, Seq: v.seq})
	}
	l.exchange.served.expire(now)
	l.dropUnheard(now)
}

// dropUnheard is [FRAG-14]. A peer that lives and acknowledges nothing would hold the memory of these replies for ever.
func (l *Link) dropUnheard(now time.Time) {
	for v := l.exchange.served.moving.head; v != nil && !now.Before(l.unheardAt()); v = l.exchange.served.moving.head {
		l.stopReply(v)
		l.exchange.served.drop(v)
		l.carrier.Unsent.Add(1)
	}
}

// unheardAt is when the oldest reply under way is given up; zero: there is none.
func (l *Link) unheardAt() time.Time {
	if v := l.exchange.served.moving.head; v != nil {
		return pace.Later(v.at, l.exchange.sending.HeardAt).Add(transfer.Idle)
	}
	return time.Time{}
}

// running lists the requests that run for the peer.
func (l *Link) running() []*Request {
	if l.exchange == nil {
		return nil
	}
	var list []*Request
	for _, page := range l.exchange.served.pages {
		if page == nil {
			continue // slots are made on demand, and a peer may begin with any
		}
		for i := range page {
			if r := page[i].request; r != nil {
				list = append(list, r)
			}
		}
	}
	return list
}
