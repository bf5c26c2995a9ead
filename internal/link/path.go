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
		limit = l.path.size
	}
	l.out.append(msg, limit, l.carrier.Table.Load())
}

// transfer begins the transfer of a message that does not fit a datagram.
func (l *Link) transfer(body []byte, tag uint64) (id uint32) {
	l.path.filled()
	l.sending.Expect(cmp.Or(l.rtt.smoothed, l.rtt.first))
	return l.sending.Start(body, tag)
}

// replyAgain sends the stored reply of a slot again. One that does not fit a small datagram goes as a transfer in such,
// for its caller may ask only once in a second; when there is no room for that, it is left for the caller to ask again.
func (l *Link) replyAgain(now time.Time, v *servedSlot) {
	switch frame := v.reply; {
	case len(frame) <= BasePacket-wire.HeaderSize:
		l.repeat(frame)
	case l.served.reserve(frame):
		small := uint32(transfer.FragmentSize(BasePacket))
		l.served.move(now, v, frame, l.sending.StartCut(wire.Unframe(frame), replyTag(v.id, v.seq), small))
	}
}

// probe does what is due for the packet size.
func (l *Link) probe(now time.Time) {
	l.suspectPath(now)
	before := l.path.size
	if m, ok := l.path.next(now, l.rtt.measured()); ok {
		l.scratch = m.Append(l.scratch[:0])
		l.out.append(l.scratch, wire.HeaderSize+len(l.scratch), l.carrier.Table.Load())
		say(l, wire.Probe{})
	}
	l.resize(now)
	if l.path.size < before {
		l.resendLarger(now)
	}
}

// resendLarger sends at once the requests again that went in datagrams which do not pass any more.
func (l *Link) resendLarger(now time.Time) {
	for slot, c := range l.calls.all() {
		if c.state == callSent && !l.fits(c.request.B) {
			l.resendRequest(now, slot, c)
			l.calls.arm(c, now, l.silentAt(c))
		}
	}
}

// suspectPath looks whether fragments give reason to doubt the packet size.
func (l *Link) suspectPath(now time.Time) {
	if l.sending.LostAgain() {
		l.path.suspect(now)
	}
}

// resize cuts transfers to the packet size. Those under way keep their fragments, unless these are too large now.
func (l *Link) resize(now time.Time) {
	if size := l.path.size; size != max(l.toldSize, BasePacket) {
		l.toldSize = size
		l.carrier.Resized(now, l.ID.Addr, size)
	}
	for _, t := range l.sending.Resize(transfer.FragmentSize(l.path.size)) {
		l.restart(now, t.Id, t.Body)
	}
}

// restart sends a message anew in another transfer.
func (l *Link) restart(now time.Time, id uint32, body []byte) {
	tag, _ := l.sending.Stop(id)
	say(l, wire.Stop{Transfer: id})
	slot, seq := uint16(tag>>32), uint32(tag)
	if tag == replyTag(slot, seq) {
		l.served.slot(slot).transfer = l.sending.Start(body, tag)
		return
	}
	c := l.calls.waiting(slot, seq)
	wire.SetRemaining(c.request.B, Remaining(now, c.deadline))
	c.went = true
	c.transfer = l.sending.Start(body, tag)
}
