package link

import (
	"time"

	"broach/internal/transfer"
	"broach/internal/udp"
	"broach/internal/wire"
)

// The steps of a link for large messages, PROTOCOL.md section 3: which call a transfer belongs to.

var (
	textRefused = []byte("the provider does not take a message of this size")
	textDropped = []byte("the provider dropped the request before all of it had come")
)

// loadFragments adds the next burst of fragments to a batch, at most as many as may go.
func (x *exchange) loadFragments(b *batch, mayGo int) {
	now, bytes, size := time.Now(), 0, x.path.size+x.link.carrier.Overhead()
	for n := min(burstMax, BatchMax-len(b.out), mayGo); n > 0 && bytes+size <= burstBytes; n-- {
		f, ok := x.sending.Next(now, uint32(x.link.number)+uint32(len(b.out))+1) // the number that head gives it
		if !ok {
			return
		}
		if d, ok := x.gather(b, &f); ok {
			bytes += d.Len()
			b.out = append(b.out, d)
			continue
		}
		d := f.Append(roomFor(NewPacket(), f.Size()))
		if f.Chunk != nil && wire.HeaderSize+f.Size()+wire.ChunkMore >= x.path.size {
			x.path.filled(len(f.Chunk.Data))
		}
		bytes += len(d) + x.link.carrier.Overhead()
		b.out = append(b.out, udp.Datagram{Addr: x.link.ID.Addr, B: d})
	}
}

// gatherLeast is from how many bytes on the data of a fragment is sent from where it is, and not copied behind its
// header: a twentieth of the processor time of large messages, and nothing at 1,400 bytes.
const gatherLeast = 4 << 10

// gather is the datagram of a fragment whose data stays where it is, if it may. The memory is lent to the batch: that
// of a request's tail is its caller's, who waits for it; that of a reply is ours, which is not used again meanwhile.
func (x *exchange) gather(b *batch, f *transfer.Part) (d udp.Datagram, ok bool) {
	l := x.link
	if len(f.Data) < gatherLeast || len(f.Rest) > 0 || f.Chunk != nil || !l.carrier.Gathers || l.sealed != nil {
		return d, false
	}
	if slot, seq := uint16(f.Tag>>32), uint32(f.Tag); f.Tag == replyTag(slot, seq) {
		b.replies = append(b.replies, x.served.lend(f.Body.Head))
	} else if c := x.calls.waiting(slot, seq); c != nil && f.IsOfTail() {
		c.call.sending.Add(1)
		b.calls = append(b.calls, c.call)
	} else {
		return d, false
	}
	return udp.Datagram{Addr: l.ID.Addr, B: f.AppendHead(NewPacket()), Tail: f.Data}, true
}

// takeFragmentAck steps a transfer that we send.
func (x *exchange) takeFragmentAck(now time.Time, m wire.FragmentAck) {
	tag, finished, sample := x.sending.Ack(now, m)
	x.path.passed(now, x.sending.Passed()+transfer.Overhead)
	x.suspectPath(now)
	if sample > 0 {
		x.rtt.sample(now, sample)
	}
	if finished {
		x.endTransfer(now, tag)
	}
}

// endTransfer notes that the peer has all of a message. How long that took says nothing about the round trip.
func (x *exchange) endTransfer(now time.Time, tag uint64) {
	if tag&openTag != 0 {
		x.endSent(tag, false)
		return
	}
	slot, seq := uint16(tag>>32), uint32(tag)
	if tag == replyTag(slot, seq) {
		// the one that moves: its transfer ends before its slot is used again
		x.served.drop(x.served.slot(slot))
		return
	}
	if c := x.calls.waiting(slot, seq); c != nil {
		x.calls.taken(c, now, x.silentAt(c))
	}
}

// takeStop ends a transfer that the peer gave up or refuses. It returns a request that nobody waits for any more.
func (x *exchange) takeStop(now time.Time, m wire.Stop) (abandoned *Request) {
	if !m.ByReceiver {
		x.receiving.Stop(m.Transfer)
		return nil
	}
	tag, ok := x.sending.Stop(m.Transfer)
	switch {
	case !ok:
	case tag&openTag != 0:
		return x.endSent(tag, true)
	default:
		x.refused(now, tag, m.Code)
	}
	return nil
}

// refused takes up that the peer refuses a message.
func (x *exchange) refused(now time.Time, tag uint64, code wire.Code) {
	slot, seq := uint16(tag>>32), uint32(tag)
	if tag == replyTag(slot, seq) {
		x.refusedReply(now, x.served.slot(slot), code)
		return
	}
	if c := x.calls.waiting(slot, seq); c != nil {
		o := refusedRequest(code, c.went)
		x.endCall(slot, c).endCopied(o)
	}
}

// refusedRequest is how a call ends whose request the provider refuses. It has no more than a part of this transfer; it
// may have run the request all the same, if that went before.
func refusedRequest(code wire.Code, went bool) Outcome {
	o := Outcome{Code: wire.Unreachable, Executed: wire.ExecutedNo, Body: textDropped}
	if code == wire.TooLarge {
		o.Code, o.Body = wire.TooLarge, textRefused
	}
	if went {
		o.Executed = wire.ExecutedMaybe
	}
	return o
}

// refusedReply answers with an error in place of a reply that the caller refuses: as too large, or because it has
// dropped it.
func (x *exchange) refusedReply(now time.Time, v *servedSlot, code wire.Code) {
	if code == wire.TooLarge {
		x.replyError(now, v, wire.TooLarge, v.executed, textTooLarge)
		return
	}
	x.replyError(now, v, wire.Unreachable, v.executed, textForgotten)
}

// takeFragment steps a transfer that we receive. It returns the whole message once all has come.
func (x *exchange) takeFragment(now time.Time, m wire.Fragment) []byte {
	body, refuse := x.receiving.Fragment(now, x.link.stepping, m)
	if refuse != 0 {
		say(x, wire.Stop{Transfer: m.Transfer, ByReceiver: true, Code: refuse})
	}
	return body
}

// postFragmentAcks adds the acknowledgements of what has come.
func (x *exchange) postFragmentAcks() {
	for ack, ok := x.receiving.NextAck(); ok; ack, ok = x.receiving.NextAck() {
		say(x, ack)
	}
}
