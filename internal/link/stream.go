package link

import (
	"bytes"
	"errors"
	"time"

	"broach/internal/stream"
	"broach/internal/transfer"
	"broach/internal/wire"
)

// The steps of a link for streams, PROTOCOL.md 3.6. A call that streams is an ordinary call, and besides it has a flow:
// what goes and comes of its items. Pipes are where these wait. A user writes to a pipe or reads from it and wakes the
// link, by the two functions that a flow gives its pipes; all else is done under the link's mutex.

// streamsMost is how many streaming calls there may be on a link, in each direction.
const streamsMost = 1024

// ErrGivenUp is how the input of a call ends that nobody waits for any more.
var ErrGivenUp = errors.New("the caller has given the call up")

var (
	errCut      = errors.New("the call has ended before the last of its results")
	errStreams  = errors.New("1,024 calls with streams are in flight to the peer")
	textStreams = []byte("1,024 calls with streams run for the caller")
)

// flows are the streams of a link. A link without any has none of it.
type flows struct {
	ours, served map[uint16]*flow // by slot
	due          []*transfer.Receiving
	bitmap       [wire.MaxBitmap]byte
}

// A flow is what goes and comes of the streams of one call, until both are over.
type flow struct {
	link   *Link
	slot   uint16
	seq    uint32
	ours   bool // the call is
	isOver bool

	source    *stream.Pipe
	sending   *transfer.Stream // nil: nothing is sent, or all has arrived
	sink      *stream.Pipe
	receiving *transfer.Receiving // nil: nothing is taken, or no more
	held      int64               // of the memory for what is half received, for a large item

	hasReply bool // of our call: it counts when the last chunk has come
	outcome  Outcome
	answered bool // of a call of the peer's
}

// openTag marks the transfer of a stream.
const openTag = 1 << 62

// flowOf returns the streams of a call; nil: it has none, or not any more.
func (x *exchange) flowOf(ours bool, slot uint16, seq uint32) *flow {
	if x.streams == nil {
		return nil
	}
	if f := x.streams.of(ours)[slot]; f != nil && f.seq == seq {
		return f
	}
	return nil
}

func (s *flows) of(ours bool) map[uint16]*flow {
	if ours {
		return s.ours
	}
	return s.served
}

// hasRoomForStreams reports whether another call may stream.
func (x *exchange) hasRoomForStreams(ours bool) bool {
	return x.streams == nil || len(x.streams.of(ours)) < streamsMost
}

// newFlow begins the streams of a call. welcome is how many KiB of what is sent are.
func (x *exchange) newFlow(now time.Time, f *flow, terms wire.Streams, in, out *stream.Pipe) {
	if x.streams == nil {
		x.streams = &flows{ours: make(map[uint16]*flow), served: make(map[uint16]*flow)}
	}
	x.streams.of(f.ours)[f.slot] = f
	f.link, f.sink, f.source = x.link, in, out
	if in != nil {
		f.receiving = x.receiving.Receive(terms.In, in)
		in.Carry(nil, f.wasRead)
		in.Bound(f.hold)
	}
	if out != nil {
		tag := replyTag(f.slot, f.seq)
		if f.ours {
			tag = callTag(f.slot, f.seq)
		}
		call := wire.Chunk{Slot: f.slot, Seq: f.seq, FromCaller: f.ours}
		x.expect()
		f.sending = x.sending.Open(now, out, call, terms.Out, tag|openTag)
		out.Carry(f.wasWritten, nil)
		x.sending.Wake(now, f.sending)
	}
}

// callStreams begins the streams of a call of ours, and says in its Request what streams.
func (x *exchange) callStreams(now time.Time, slot uint16, c *callSlot) {
	p := c.call.Streams
	f := &flow{slot: slot, seq: c.seq, ours: true}
	x.newFlow(now, f, wire.Streams{}, p.Out, p.In)
	terms := wire.Streams{HasIn: p.In != nil, HasOut: p.Out != nil}
	if terms.HasIn {
		terms.In = f.sending.ID()
	}
	if terms.HasOut {
		terms.Out = f.receiving.Welcome()
	}
	wire.SetStreams(c.request.B, terms)
}

// serveStreams begins the streams of a call of the peer's, if there is room, and gives the request its pipes.
func (x *exchange) serveStreams(now time.Time, v *servedSlot, terms wire.Streams, r *Request) {
	r.Streams = new(stream.Pair)
	if terms.HasIn {
		r.Streams.In = new(stream.Pipe)
	}
	if terms.HasOut {
		r.Streams.Out = new(stream.Pipe)
	}
	f := &flow{slot: v.id, seq: r.Seq}
	x.newFlow(now, f, terms, r.Streams.In, r.Streams.Out)
	if terms.HasIn {
		x.dueAck(f.receiving) // by which the caller learns that the input is welcome
	}
}

// wasWritten has the link send what a user has written.
func (f *flow) wasWritten() {
	l := f.link
	l.mu.Lock()
	if l.down || f.isOver || f.sending == nil {
		l.mu.Unlock()
		return
	}
	l.exchange.sending.Wake(time.Now(), f.sending)
	l.flush()
}

// wasRead has the link tell the sender how much more is welcome, or that nobody reads any more.
func (f *flow) wasRead() {
	l := f.link
	l.mu.Lock()
	if l.down || f.isOver || f.receiving == nil {
		l.mu.Unlock()
		return
	}
	x := l.exchange
	switch f.receiving.Settle(); {
	case f.sink.Stopped() != nil && !f.ours:
		x.refuseInput(f)
	case f.receiving.HasNews():
		x.dueAck(f.receiving)
		if !l.inHand.has(byReader) { // else it goes at the end of its batch
			x.postStreamAcks()
		}
	}
	l.flush()
}

// hold takes memory for a large item that the reader collects, out of what half-received messages may have, or gives it
// back.
func (f *flow) hold(n int) bool {
	l := f.link
	l.mu.Lock()
	defer l.mu.Unlock()
	switch x, ok := l.talking(); {
	case !ok || f.isOver || f.receiving == nil: // it has all that comes
	case n < 0:
		f.letGo(min(int64(-n), f.held))
	case !x.receiving.Held.Take(int64(n)):
		return false
	default:
		f.held += int64(n)
	}
	return true
}

func (f *flow) letGo(n int64) {
	f.link.exchange.receiving.Held.Give(n)
	f.held -= n
}

// refuseInput is [STR-6]: the function reads no more of the input.
func (x *exchange) refuseInput(f *flow) {
	if f.receiving == nil {
		return
	}
	if !f.receiving.IsWhole {
		say(x, wire.Stop{Transfer: f.receiving.Transfer, ByReceiver: true, Code: wire.Canceled})
	}
	f.stopTaking(nil)
}

// stopTaking ends what comes of a flow; why is how it ends for its reader.
func (f *flow) stopTaking(why error) {
	if f.receiving == nil {
		return
	}
	f.receiving.Close()
	f.receiving = nil
	f.letGo(f.held)
	f.sink.Carry(nil, nil)
	f.sink.CloseWrite(why)
}

// stopStream ends what goes of a flow. The pipe of a call of ours may go to another provider.
func (x *exchange) stopStream(f *flow) {
	if f.sending == nil {
		return
	}
	x.sending.Stop(f.sending.ID())
	f.sending = nil
	f.source.Carry(nil, nil)
}

// endFlow ends the streams of a call.
func (x *exchange) endFlow(f *flow) {
	if f == nil || f.isOver {
		return
	}
	f.isOver = true
	delete(x.streams.of(f.ours), f.slot)
	x.stopStream(f)
	switch {
	case f.ours:
		f.stopTaking(errCut)
	default:
		f.stopTaking(ErrGivenUp)
		if f.source != nil {
			f.source.Stop(ErrGivenUp)
		}
	}
}

// endServedFlow ends the streams of the last call in a slot of the peer's, which it has given up or which is over.
func (x *exchange) endServedFlow(slot uint16) {
	if x.streams != nil {
		x.endFlow(x.streams.served[slot])
	}
}

// hasServedFlows reports whether streams of the peer's calls go on.
func (x *exchange) hasServedFlows() bool { return x.streams != nil && len(x.streams.served) > 0 }

// endServedFlows ends those of all.
func (x *exchange) endServedFlows() {
	if x.streams == nil {
		return
	}
	for _, f := range x.streams.served {
		x.endFlow(f)
	}
}

// takeChunk takes a part of a stream, [STR-2].
func (x *exchange) takeChunk(m wire.Chunk) {
	f := x.flowOf(!m.FromCaller, m.Slot, m.Seq)
	switch {
	case f == nil && x.isToCome(m):
		return
	case f == nil || f.receiving == nil || !f.receiving.Chunk(x.link.stepping, m):
		say(x, wire.Stop{Transfer: m.Transfer, ByReceiver: true, Code: wire.Canceled})
		return
	}
	if f.receiving.IsDue {
		x.dueAck(f.receiving)
	}
	if f.receiving.IsWhole {
		f.sink.CloseWrite(nil)
		x.endByLastChunk(f)
	}
}

// isToCome says that the Request of a call is yet to come.
func (x *exchange) isToCome(m wire.Chunk) bool {
	if !m.FromCaller {
		return false
	}
	v := x.served.peek(m.Slot)
	return v == nil || v.look(m.Seq) == requestNew
}

// dueAck has a stream acknowledged at the end of the batch.
func (x *exchange) dueAck(r *transfer.Receiving) {
	if r.IsDue = true; !r.IsListed {
		r.IsListed = true
		x.streams.due = append(x.streams.due, r)
	}
}

// postStreamAcks adds the acknowledgements of what has come, also of calls that have ended by it.
func (x *exchange) postStreamAcks() {
	if x.streams == nil {
		return
	}
	for i, r := range x.streams.due {
		x.streams.due[i] = nil
		r.IsListed = false
		if r.IsDue && r.Transfer != 0 {
			r.IsDue = false
			say(x, r.Ack(x.streams.bitmap[:0]))
		}
	}
	x.streams.due = x.streams.due[:0]
}

// holdReply keeps a Reply that counts only when the last chunk has come, [STR-5]. It is false where it counts at once.
func (x *exchange) holdReply(now time.Time, c *callSlot, m wire.Reply) bool {
	f := x.flowOf(true, m.Slot, m.Seq)
	switch {
	case f == nil || !f.hasReply && (!m.AfterChunks || f.receiving == nil || f.receiving.IsWhole):
		return false // if that is all there is of the results, their reader finds that the last is missing
	case !f.hasReply:
		f.hasReply = true
		f.outcome = Outcome{Code: m.Code, Executed: m.Executed, Forwarded: m.Forwarded, Body: bytes.Clone(m.Body),
			Causes: bytes.Clone(m.Causes)}
		x.stopStream(f) // the function has ended: its input is not read
	}
	x.taken(now, c)
	return true
}

// endByLastChunk ends a call of ours whose Reply has waited for that.
func (x *exchange) endByLastChunk(f *flow) {
	if !f.hasReply {
		return
	}
	if c := x.calls.waiting(f.slot, f.seq); c != nil {
		x.endCall(f.slot, c).endCopied(f.outcome)
	}
}

// endSent notes that all of a stream has arrived, or that its receiver wants no more. It returns a request that nobody
// waits for because of that.
func (x *exchange) endSent(tag uint64, isStopped bool) (abandoned *Request) {
	slot, seq := uint16(tag>>32), uint32(tag)
	ours := tag&^openTag == callTag(slot, seq)
	f := x.flowOf(ours, slot, seq)
	if f == nil {
		return nil
	}
	f.sending = nil
	f.source.Carry(nil, nil)
	switch {
	case isStopped && ours:
		f.source.Stop(stream.ErrStopped)
	case isStopped:
		x.endFlow(f)
		if v := x.served.slot(slot); v.seq == seq {
			return v.share()
		}
	case f.answered:
		x.endFlow(f)
	}
	return nil
}

// answerStreams says in the Reply of a request whether it counts behind the chunks of the results, [STR-5], and ends
// the input.
func (x *exchange) answerStreams(r *Request, frame []byte) {
	f := x.flowOf(false, r.Slot, r.Seq)
	if r.Streams == nil || f == nil {
		return
	}
	f.answered = true
	x.refuseInput(f)
	if f.source != nil && f.source.End() != nil {
		wire.SetAfterChunks(frame)
		if f.sending != nil {
			return // until all has arrived
		}
	}
	x.endFlow(f)
}

// ask says the questions of streams that are due.
func (x *exchange) ask(now time.Time) {
	for _, m := range x.sending.Asks(now) {
		say(x, m)
	}
}
