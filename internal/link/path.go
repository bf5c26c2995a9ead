package link

import (
	"cmp"
	"time"

	"broach/internal/transfer"
	"broach/internal/wire"
)

// The steps of a link for the packet size of its path, PROTOCOL.md 1.3.

// repeat adds a message that was sent before, or is so short that it gains nothing by a large datagram: it goes in one
// that passes everywhere, if it fits.
func (l *Link) repeat(msg []byte) {
	limit := BasePacket
	if len(msg) > limit-wire.HeaderSize {
		limit = l.exchange.path.size
	}
	l.out.append(msg, limit, l.carrier.Table.Load())
}

// transfer begins the transfer of a message that does not fit a datagram.
func (l *Link) transfer(body []byte, tag uint64) (id uint32) {
	l.exchange.path.filled()
	l.exchange.sending.Expect(cmp.Or(l.exchange.rtt.smoothed, l.exchange.rtt.first))
	return l.exchange.sending.Start(body, tag)
}

// replyAgain sends the stored reply of a slot again. One that does not fit a small datagram goes as a transfer in such,
// for its caller may ask only once in a second; when there is no room for that, it is left for the caller to ask again.
func (l *Link) replyAgain(now time.Time, v *servedSlot) {
	switch frame := v.reply; {
	case len(frame) <= BasePacket-wire.HeaderSize:
		l.repeat(frame)
	case l.exchange.served.reserve(frame):
		small := uint32(transfer.FragmentSize(BasePacket))
		l.exchange.served.move(now, v, frame,
			l.exchange.sending.StartCut(wire.Unframe(frame), replyTag(v.id, v.seq), small))
	}
}

// probe does what is due for the packet size.
func (l *Link) probe(now time.Time) {
	l.suspectPath(now)
	before := l.exchange.path.size
	if m, ok := l.exchange.path.next(now, l.exchange.rtt.measured()); ok {
		l.exchange.scratch = m.Append(l.exchange.scratch[:0])
		l.out.append(l.exchange.scratch, wire.HeaderSize+len(l.exchange.scratch), l.carrier.Table.Load())
		say(l, wire.Probe{})
	}
	l.resize(now)
	if l.exchange.path.size < before {
		l.resendLarger(now)
	}
}

// resendLarger sends at once the requests again that went in datagrams which do not pass any more.
func (l *Link) resendLarger(now time.Time) {
	for slot, c := range l.exchange.calls.all() {
		if c.state == callSent && !l.fits(c.request.B) {
			l.resendRequest(now, slot, c)
			l.exchange.calls.arm(c, now, l.silentAt(c))
		}
	}
}

// suspectPath looks whether fragments give reason to doubt the packet size.
func (l *Link) suspectPath(now time.Time) {
	if l.exchange.sending.LostAgain() {
		l.exchange.path.suspect(now)
	}
}

// resize cuts transfers to the packet size. Those under way keep their fragments, unless these are too large now.
func (l *Link) resize(now time.Time) {
	if size := l.exchange.path.size; size != max(l.exchange.toldSize, BasePacket) {
		l.exchange.toldSize = size
		l.carrier.Resized(now, l.ID.Addr, size)
	}
	for _, t := range l.exchange.sending.Resize(transfer.FragmentSize(l.exchange.path.size)) {
		l.restart(now, t.Id, t.Body)
	}
}

// restart sends a message anew in another transfer.
func (l *Link) restart(now time.Time, id uint32, body []byte) {
	tag, _ := l.exchange.sending.Stop(id)
	say(l, wire.Stop{Transfer: id})
	slot, seq := uint16(tag>>32), uint32(tag)
	if tag == replyTag(slot, seq) {
		l.exchange.served.slot(slot).transfer = l.exchange.sending.Start(body, tag)
		return
	}
	c := l.exchange.calls.waiting(slot, seq)
	wire.SetRemaining(c.request.B, Remaining(now, c.deadline))
	c.went = true
	c.transfer = l.exchange.sending.Start(body, tag)
}
