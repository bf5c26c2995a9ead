package broach

import (
	"time"

	"broach/internal/wire"
)

// The provider's steps of a link, PROTOCOL.md 2.4. Those of transfers are in link_transfer.go.

var (
	textForgotten = []byte("the reply is no longer kept")
	textMost      = []byte("the function already runs as often as it may at once")
	textPaused    = []byte("the function does not serve now")
	textBusy      = []byte("the provider's queue is full")
	textTooLarge  = []byte("the reply is larger than the caller takes")
	textBacklog   = []byte("too many large replies to this caller are under way")
)

// takeRequest looks at a Request. It returns a request to be run if this is a new call. body is the transfer that it came as, or
// nil: it is held until the request is answered.
func (l *link) takeRequest(now time.Time, m wire.Request, oneWay bool, body []byte) *request {
	v := l.served.slot(m.Slot)
	if v.look(m.Seq) != requestNew {
		l.answerAgain(now, v, m.Seq)
		l.letGo(body)
		return nil
	}
	since := now
	if body != nil {
		since = l.receiving.since
	}
	r := newRequest(l, since, m, oneWay, body)
	r.replaces = v.request
	l.stopReply(v)
	l.served.begin(now, v, m.Seq, r)
	if body != nil {
		l.served.tell(v) // by the last FragmentAck
	}
	return r
}

// letGo gives back the memory of a message that came as a transfer, when nobody refers to it any more.
func (l *link) letGo(body []byte) {
	if body == nil {
		return
	}
	if l.exchange != nil {
		l.receiving.release(len(body))
	} else {
		l.memory.give(int64(len(body))) // the link's own account ended with it
	}
	recycle(body)
}

// takePoll answers how a call is going. A Poll for a call that is not known can only be for one that found no room just
// after its Progress had gone out. The answer is stored, for a Request that was delayed in the network may still come. What a
// late Poll for a newer call finds running, its Request would have replaced too.
func (l *link) takePoll(now time.Time, m wire.Poll) (replaced *request) {
	v := l.served.slot(m.Slot)
	if v.look(m.Seq) != requestNew {
		l.answerAgain(now, v, m.Seq)
		return nil
	}
	replaced = v.request
	l.stopReply(v)
	v.seq = m.Seq
	l.replyError(now, v, Overloaded, No, textBusy)
	return replaced
}

// answerAgain answers a Request or Poll that is not new.
func (l *link) answerAgain(now time.Time, v *servedSlot, seq uint32) {
	switch v.look(seq) {
	case requestRunning:
		l.served.tell(v)
		say(l, wire.Progress{Slot: v.id, Seq: seq})
	case requestDone:
		l.path.suspect(now)
		l.replyAgain(v)
	case requestForgotten: // [CALL-8]
		say(l, wire.Reply{Slot: v.id, Seq: seq, Code: uint32(Unreachable), Executed: uint8(Yes), Body: textForgotten})
	}
}

// takeCancel returns the running request that the caller has given up, if any. A reply under way to it is stopped.
func (l *link) takeCancel(m wire.Cancel) *request {
	v := l.served.slot(m.Slot)
	if v.look(m.Seq) != requestRunning {
		return nil
	}
	if v.state == servedMoving {
		l.stopReply(v)
		l.served.drop(v)
	}
	return v.request
}

// answer stores and sends the reply of a request: frame is the encoded Reply and now belongs to the link.
func (l *link) answer(now time.Time, r *request, frame []byte) {
	l.mu.Lock()
	l.letGo(r.body)
	if l.down {
		l.mu.Unlock()
		return
	}
	if v := l.served.slot(r.slot); v.request == r {
		l.reply(now, v, frame)
	}
	l.flush()
}

// acceptOneWay stores and sends the reply of a one-way request, whose slot is free for another from then on.
func (l *link) acceptOneWay(now time.Time, r *request, frame []byte) {
	l.mu.Lock()
	if l.down {
		l.mu.Unlock()
		return
	}
	if v := l.served.slot(r.slot); v.request == r {
		l.reply(now, v, wire.SetLength(frame))
	}
	l.flush()
}

// giveBack is letGo for a request that was answered before.
func (l *link) giveBack(body []byte) {
	l.mu.Lock()
	l.letGo(body)
	l.mu.Unlock()
}

// reply stores and sends the reply of a slot, [PATH-7].
func (l *link) reply(now time.Time, v *servedSlot, frame []byte) {
	switch {
	case len(frame) <= basePacket-wire.HeaderSize, v.state == servedNew && l.fits(frame):
		l.served.done(now, v, frame)
		l.post(frame)
	case l.mayMove(frame):
		l.served.move(v, frame, l.transfer(wire.Unframe(frame), replyTag(v.id, v.seq)))
	default:
		l.replyError(now, v, Overloaded, Yes, textBacklog)
	}
}

// mayMove says whether another reply may be under way as a transfer.
func (l *link) mayMove(frame []byte) bool {
	return l.served.movingBytes+len(frame) <= replyMoving*(l.maxMessage+envelope)
}

// replyError stores and sends an error as the reply of a slot.
func (l *link) replyError(now time.Time, v *servedSlot, code Code, executed Executed, text []byte) {
	l.reply(now, v, wire.Reply{Slot: v.id, Seq: v.seq, Code: uint32(code), Executed: uint8(executed), Body: text}.Append(nil))
}

// stopReply ends the transfer of a reply that nobody waits for any more. Whatever is done to the slot next drops the reply.
func (l *link) stopReply(v *servedSlot) {
	if v.state != servedMoving {
		return
	}
	if _, ok := l.sending.stop(v.transfer); ok {
		say(l, wire.Stop{Transfer: v.transfer})
	}
}

// forget undoes takeRequest for a request that found no room, [CALL-7].
func (l *link) forget(r *request) {
	l.mu.Lock()
	if l.exchange != nil {
		if v := l.served.slot(r.slot); v.request == r {
			l.served.forget(v)
		}
	}
	l.mu.Unlock()
}

// acknowledge sends the Progress that is due.
func (l *link) acknowledge(now time.Time) {
	for v := l.served.unacknowledged(now); v != nil; v = l.served.unacknowledged(now) {
		l.served.tell(v)
		say(l, wire.Progress{Slot: v.id, Seq: v.seq})
	}
	l.served.expire(now)
	l.dropUnheard(now)
}

// dropUnheard gives up the replies under way to a peer that is silent for so long that it has given them up too, [FRAG-9].
func (l *link) dropUnheard(now time.Time) {
	if now.Sub(l.lastHeard()) < transferIdle {
		return
	}
	for v := l.served.moving.head; v != nil; v = l.served.moving.head {
		l.stopReply(v)
		l.served.drop(v)
	}
}

// running lists the requests that run for the peer.
func (l *link) running() []*request {
	if l.exchange == nil {
		return nil
	}
	var list []*request
	for _, page := range l.served.pages {
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
