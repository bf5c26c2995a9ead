package link

import (
	"cmp"
	"time"

	"broach/internal/transfer"
	"broach/internal/udp"
	"broach/internal/wire"
)

// The steps of a link for the packet size of its path, PROTOCOL.md 3.5.

// longest is the largest datagram of one Request or Reply, [PATH-7]. What is longer goes as a transfer: nothing but its
// window keeps many of them from overflowing the receiver's buffer at once.
const longest = 8972

// repeat adds a message that was sent before, or is so short that it gains nothing by a large datagram: it goes in one
// that passes everywhere, if it fits.
func (x *exchange) repeat(msg []byte) {
	limit := BasePacket
	if len(msg) > limit-wire.HeaderSize {
		limit = x.path.size
	}
	x.link.out.append(msg, limit, x.link.carrier.Table.Load())
}

// transfer begins the transfer of a message that does not fit a datagram.
func (x *exchange) transfer(frame, tail []byte, tag uint64) (id uint32) {
	body := transfer.Body{Head: wire.Unframe(frame), Tail: tail}
	x.path.filled(len(body.Head) + len(tail))
	x.expect()
	return x.sending.Start(body, tag)
}

// expect says how long a round trip is likely to be.
func (x *exchange) expect() { x.sending.Expect(cmp.Or(x.rtt.smoothed, x.rtt.first)) }

// replyAgain sends the stored reply of a slot again. One that does not fit a small datagram goes as a transfer in such,
// for its caller may ask only once in a second; when there is no room for that, it is left for the caller to ask again.
func (x *exchange) replyAgain(now time.Time, v *servedSlot) {
	switch frame := v.reply; {
	case len(frame) <= BasePacket-wire.HeaderSize:
		x.repeat(frame)
	case x.served.reserve(sizeOf(frame)):
		small, body := uint32(transfer.FragmentSize(BasePacket)), transfer.Body{Head: wire.Unframe(frame)}
		x.served.moveReply(now, v, frame, x.sending.StartCut(body, replyTag(v.id, v.seq), small))
	}
}

// probe does what is due for the packet size.
func (x *exchange) probe(now time.Time) {
	x.suspectPath(now)
	before := x.path.size
	if m, ok := x.path.next(now, x.rtt.measured()); ok {
		x.scratch = m.Append(x.scratch[:0])
		x.link.out.append(x.scratch, wire.HeaderSize+len(x.scratch), x.link.carrier.Table.Load())
		say(x, wire.Probe{})
	}
	x.fallTo(now, before)
}

// fallTo draws the conclusions from a packet size that was another before.
func (x *exchange) fallTo(now time.Time, before int) {
	x.resize(now)
	if x.path.size < before {
		x.resendLarger(now)
	}
}

// refused learns which of some datagrams our own system did not take as too long.
func (l *Link) refused(now time.Time, out []udp.Datagram) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x, ok := l.talking()
	if !ok {
		return
	}
	before := x.path.size
	for _, d := range out {
		if d.TooLong {
			x.path.refused(now, d.Len()-l.carrier.Overhead())
		}
	}
	x.fallTo(now, before)
}

// resendLarger sends at once the requests again that went in datagrams which do not pass any more.
func (x *exchange) resendLarger(now time.Time) {
	for slot, c := range x.calls.all() {
		if c.state == callSent && !x.fits(c.request.B) {
			x.resendRequest(now, slot, c)
			x.calls.arm(c, now, x.silentAt(c))
		}
	}
}

// suspectPath looks whether fragments give reason to doubt the packet size.
func (x *exchange) suspectPath(now time.Time) {
	if x.sending.LostAgain() {
		x.path.suspect(now)
	}
	if x.sending.Lossy() {
		x.path.lossy(now)
	}
}

// resize cuts transfers to the packet size. Those under way keep their fragments, unless these are too large now.
func (x *exchange) resize(now time.Time) {
	if size := x.path.size; size != max(x.toldSize, BasePacket) {
		x.toldSize = size
		x.link.carrier.Resized(now, x.link.ID.Addr, size)
	}
	for _, t := range x.sending.Resize(now, transfer.FragmentSize(x.path.size)) {
		x.restart(now, t.Id, t.Body)
	}
}

// restart sends a message anew in another transfer.
func (x *exchange) restart(now time.Time, id uint32, body transfer.Body) {
	tag, _ := x.sending.Stop(id)
	say(x, wire.Stop{Transfer: id})
	slot, seq := uint16(tag>>32), uint32(tag)
	if tag == replyTag(slot, seq) {
		x.served.slot(slot).transfer = x.sending.Start(body, tag)
		return
	}
	c := x.calls.waiting(slot, seq)
	wire.SetRemaining(c.request.B, Remaining(now, c.deadline))
	c.went = true
	c.transfer = x.sending.Start(body, tag)
}
