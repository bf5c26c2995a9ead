package link

import (
	"time"

	"broach/internal/seal"
	"broach/internal/wire"
)

// The steps of a link for the proof that its peer is still at its address, PROTOCOL.md [LNK-11].

// mayGo is how many datagrams may go before the peer answers. What waits for that stays where it is.
func (l *Link) mayGo() int { return int(max(l.proof.left(), 0) / l.largest()) }

// isWithheld reports that none may.
func (l *Link) isWithheld() bool { return l.proof.left() < l.largest() }

// largest is the size of the largest datagram.
func (l *Link) largest() int64 { return int64(l.carrier.MaxPacket + seal.Overhead) }

// unwithheld is the outbox of what goes in any case; nil: nothing was to be proven yet, so nothing is withheld.
func (l *Link) unwithheld() *outbox {
	if l.proof.asking == nil {
		return nil
	}
	return &l.proof.out
}

// outboxFor is where a message waits that may go to an address that is not proven any more, since it is no more than
// what the sender of such messages could send there itself: a Beat or Ping, or the answer to a message as large.
func (l *Link) outboxFor(kind wire.Kind) *outbox {
	if l.isWithheld() {
		switch kind {
		case wire.KindPing, wire.KindPong, wire.KindBeat, wire.KindProbeAck:
			return l.unwithheld()
		}
	}
	return &l.out
}

// prove sends a Probe that the peer can only answer if it gets it.
func (l *Link) prove(now time.Time) {
	m := l.proof.ask(now, l.carrier.Nonce, l.soFar().rtt.transferTimeout())
	var b [shortMessage]byte
	out := &l.out
	if len(out.ready) == 0 || len(out.ready) >= l.mayGo() {
		out = l.unwithheld()
	}
	l.addMessage(out, m.Append(b[:0]))
}

// answerProbe answers a Probe, of whatever size.
func (l *Link) answerProbe(m wire.Probe) {
	var b [shortMessage]byte
	l.addMessage(l.outboxFor(wire.KindProbeAck), wire.ProbeAck{ID: m.ID, Room: l.room()}.Append(b[:0]))
}

// shortMessage is room for a Probe that has no padding, or a ProbeAck.
const shortMessage = 16

// room is what an answer says of the room for fragments, [FRAG-16]: nothing where it may go to somebody who has asked
// for nothing.
func (l *Link) room() uint32 {
	if l.isWithheld() {
		return 0
	}
	return uint32(l.carrier.Room)
}

// takeProbeAck learns that the peer gets what is sent to it, or that a size passes.
func (l *Link) takeProbeAck(now time.Time, m wire.ProbeAck) {
	if x, ok := l.talking(); ok && m.Room > 0 {
		x.sending.Room(int64(m.Room))
	}
	if !l.proof.ack(m.ID) {
		if x, ok := l.talking(); ok {
			x.takeProbeAck(now, m)
		}
	} else if l.proof.isWanted() {
		l.prove(now)
	}
}

// takeProbeAck measures the round trip, if the Probe was one of the stopwatch, and learns that a size passes.
func (x *exchange) takeProbeAck(now time.Time, m wire.ProbeAck) {
	if roundTrip, ok := x.watch.stop(now, m.ID); ok {
		x.rtt.sample(now, roundTrip)
	}
	x.path.ack(now, m.ID)
	x.resize(now)
	if !x.link.isWithheld() {
		x.probe(now) // the next size, at once
	}
}
