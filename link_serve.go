package broach

import (
	"time"

	"broach/internal/wire"
)

// The provider's steps of a link, PROTOCOL.md 2.4, and those of transfers, section 3.

var (
	textForgotten = []byte("the reply is no longer kept")
	textBusy      = []byte("the provider's queue is full")
	textRefused   = []byte("the provider does not take a message of this size")
	textTooLarge  = []byte("the reply is larger than the caller takes")
)

// takeRequest looks at a Request. It returns a request to be run if this is a new call. body is the transfer that it came as, or
// nil: it is held until the request is answered.
func (l *link) takeRequest(now time.Time, m wire.Request, body []byte) *request {
	v := l.served.slot(m.Slot)
	switch v.look(m.Seq) {
	case requestNew:
		old := v.request
		l.stopReply(v)
		r := newRequest(l, now, m, body)
		l.served.begin(now, v, m.Seq, r)
		r.replaces = old
		return r
	case requestRunning:
		l.served.tell(v)
		say(l, wire.Progress{Slot: m.Slot, Seq: m.Seq})
	case requestDone:
		l.resendReply(v)
	case requestForgotten:
		l.postForgotten(v)
	}
	l.letGo(body)
	return nil
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
	l.memory.recycle(body)
}

// takePoll answers how a call is going. A Poll for a call that is not known can only be for one that found no room just
// after its Progress had gone out.
func (l *link) takePoll(m wire.Poll) {
	v := l.served.slot(m.Slot)
	switch v.look(m.Seq) {
	case requestNew:
		say(l, wire.Reply{Slot: m.Slot, Seq: m.Seq, Code: uint32(Overloaded), Executed: uint8(No), Body: textBusy})
	case requestRunning:
		l.served.tell(v)
		say(l, wire.Progress(m))
	case requestDone:
		l.resendReply(v)
	case requestForgotten:
		l.postForgotten(v)
	}
}

// takeCancel returns the running request that the caller has given up, if any.
func (l *link) takeCancel(m wire.Cancel) *request {
	v := l.served.slot(m.Slot)
	if v.look(m.Seq) != requestRunning {
		return nil
	}
	return v.request
}

// resendReply sends a stored reply again. One that goes as a transfer sees to that itself.
func (l *link) resendReply(v *servedSlot) {
	if v.transfer == 0 {
		l.post(v.reply)
	}
}

// postForgotten says that the call was executed and its reply is gone, [CALL-8].
func (l *link) postForgotten(v *servedSlot) {
	say(l, wire.Reply{Slot: v.id, Seq: v.seq, Code: uint32(Unreachable), Executed: uint8(Yes), Body: textForgotten})
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
		l.served.done(now, v, frame)
		l.sendReply(v)
	}
	l.flush()
}

// sendReply sends a reply for the first time.
func (l *link) sendReply(v *servedSlot) {
	if l.fits(v.reply) {
		l.post(v.reply)
		return
	}
	v.transfer = l.sending.start(wire.Unframe(v.reply), replyTag(v.id, v.seq))
}

// stopReply ends the transfer of a reply that nobody waits for any more.
func (l *link) stopReply(v *servedSlot) {
	if v.transfer == 0 {
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

// loadFragments adds the next burst of fragments to a batch.
func (l *link) loadFragments(b *batch) {
	if !l.canSendFragments() {
		return
	}
	now := time.Now()
	for range min(burstMax, batchMax-len(b.out)) {
		f, ok := l.sending.next(now)
		if !ok {
			return
		}
		b.out = append(b.out, datagram{addr: l.id.addr, b: f.Append(newPacket())})
	}
}

// takeFragmentAck steps a transfer that we send; when all of a request has arrived the provider has it.
func (l *link) takeFragmentAck(now time.Time, m wire.FragmentAck) {
	tag, finished, sample := l.sending.ack(now, m)
	if sample > 0 {
		l.rtt.sample(sample)
	}
	if finished {
		l.endTransfer(now, tag)
	}
}

// endTransfer notes that the peer has all of a message.
func (l *link) endTransfer(now time.Time, tag uint64) {
	slot, seq := uint16(tag>>32), uint32(tag)
	if tag == replyTag(slot, seq) {
		if v := l.served.slot(slot); v.look(seq) == requestDone {
			l.served.drop(v)
		}
		return
	}
	if c := l.calls.waiting(slot, seq); c != nil && c.state == callMoving {
		c.state = callSent // nothing to stop
		l.taken(now, c)
	}
}

// takeStop ends a transfer that the peer gave up or refuses.
func (l *link) takeStop(m wire.Stop) {
	if !m.ByReceiver {
		l.receiving.stop(m.Transfer)
		return
	}
	tag, ok := l.sending.stop(m.Transfer)
	if !ok {
		return
	}
	slot, seq := uint16(tag>>32), uint32(tag)
	if tag == replyTag(slot, seq) {
		l.replaceReply(slot, seq, m.Code)
		return
	}
	if c := l.calls.waiting(slot, seq); c != nil {
		c.state = callSent // nothing to stop
		l.endCall(slot, c).end(outcome{code: Code(m.Code), executed: No, body: textRefused})
	}
}

// replaceReply answers with an error in place of a reply that the caller refuses.
func (l *link) replaceReply(slot uint16, seq uint32, code uint32) {
	v := l.served.slot(slot)
	if v.look(seq) != requestDone {
		return
	}
	v.transfer = 0
	l.served.done(v.at, v, wire.Reply{Slot: slot, Seq: seq, Code: code, Executed: uint8(Yes), Body: textTooLarge}.Append(nil))
	l.sendReply(v)
}

// takeFragment steps a transfer that we receive. It returns the whole message once all has come.
func (l *link) takeFragment(now time.Time, m wire.Fragment) []byte {
	body, refuse := l.receiving.fragment(now, m)
	if refuse != 0 {
		say(l, wire.Stop{Transfer: m.Transfer, ByReceiver: true, Code: uint32(refuse)})
	}
	return body
}

// postFragmentAcks adds the acknowledgements of what has come.
func (l *link) postFragmentAcks() {
	if l.exchange == nil {
		return
	}
	for ack, ok := l.receiving.nextAck(); ok; ack, ok = l.receiving.nextAck() {
		say(l, ack)
	}
}
