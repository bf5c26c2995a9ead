package link

import (
	"time"

	"broach/internal/wire"
)

const (
	proveAfter = 64 << 10 // bytes, after which the peer is asked

	// Bytes that may go without an answer. A window that doubles sends three times what it did in a round trip between
	// two Probes that are answered, and what a lost Probe costs beside; 16 MiB are three times the largest window of
	// fragments of 1,400 bytes, and more.
	unprovenLeast = 1 << 20
	unprovenMost  = 16 << 20
	provenTimes   = 4 // what went in a round trip
)

// proof counts what goes to an address since its peer showed that it gets it, [LNK-11]: an address that was proven may
// be given up, and become somebody else's, while the peer goes on from elsewhere. It belongs to a link and is stepped
// under its mutex. Nothing is due while nothing is sent.
type proof struct {
	unproven int64 // bytes sent since the Probe first went that was answered last
	*asking        // nil: there was nothing to ask yet
}

// asking is a proof that is asked for: most links never need one.
type asking struct {
	room  int64         // bytes that may go without an answer
	id    uint32        // that the peer is to answer, which nobody knows who does not get it; 0: none
	since int64         // bytes sent since it first went: an answer may be kept back until the address was given up
	last  int64         // and since it last did
	late  bool          // it went again because of time: what was sent since says nothing about the way
	pace  time.Duration // at which it goes again
	due   time.Time     // when it does; zero: with the next datagram
	out   outbox        // what goes in any case
}

// left is how many bytes may go before the peer answers.
func (p *proof) left() int64 {
	if p.asking == nil {
		return unprovenLeast - p.unproven
	}
	return p.room - p.unproven
}

// sent notes the bytes of datagrams that are sent.
func (p *proof) sent(bytes int64) {
	p.unproven += bytes
	if p.asking != nil {
		p.since += bytes
		p.last += bytes
	}
}

// isWanted reports whether a Probe is to be sent because of what was sent. One that is on its way is followed by
// others, so that all need not stop because it was lost.
func (p *proof) isWanted() bool {
	if p.asking == nil || p.id == 0 {
		return p.unproven >= proveAfter
	}
	return p.due.IsZero() || p.last >= max(p.room/4, proveAfter)
}

// ask returns the Probe to be sent, and draws an id for it if none is waited for. rto is the retransmission time.
func (p *proof) ask(now time.Time, draw func() uint32, rto time.Duration) wire.Probe {
	if p.asking == nil {
		p.asking = &asking{room: unprovenLeast}
	}
	if p.id == 0 {
		p.id, p.since, p.late, p.pace = draw(), 0, false, rto
	}
	p.last, p.due = 0, now.Add(p.pace)
	return wire.Probe{ID: p.id}
}

// timeout reports whether the Probe is to be sent again because no answer has come for the retransmission time.
func (p *proof) timeout(now time.Time) bool {
	if at := p.nextTimeout(); at.IsZero() || now.Before(at) {
		return false
	}
	p.late, p.pace = true, max(p.pace, min(2*p.pace, maxPace))
	return true
}

// ack takes the answer to a Probe, and reports whether it is that.
func (p *proof) ack(id uint32) bool {
	if p.asking == nil || p.id == 0 || p.id != id {
		return false
	}
	p.unproven, p.id, p.due = p.since, 0, time.Time{}
	if !p.late {
		p.room = min(max(p.room-p.room/8, provenTimes*p.since, unprovenLeast), unprovenMost)
	}
	return true
}

// stop ends the repeating: the peer cannot be reached. It goes on with what is sent next.
func (p *proof) stop() {
	if p.asking != nil {
		p.due = time.Time{}
	}
}

// nextTimeout is when the Probe is sent again; zero: never.
func (p *proof) nextTimeout() time.Time {
	if p.asking == nil {
		return time.Time{}
	}
	return p.due
}
