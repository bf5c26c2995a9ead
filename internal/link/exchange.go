package link

import (
	"time"

	"broach/internal/pace"
	"broach/internal/transfer"
	"broach/internal/wire"
)

// exchange is the part of a link that only calls need. Peers that merely know of each other, the most in a large
// cluster, do without. Once made it stays as long as the link: who has sent a Request on a link, or got one, finds it.
// It is stepped under the link's mutex.
type exchange struct {
	link      *Link // that it is part of
	rtt       rtt
	watch     stopwatch
	path      pathSize
	calls     callSlots
	served    servedSlots
	sending   transfer.Out
	receiving transfer.In
	streams   *flows // nil: there were none
	scratch   []byte // a message being encoded
	resent    uint64 // requests sent more than once, for Stats
	toldSize  int    // the packet size that others were told of; 0: none
}

// envelope is room for what a Request or Reply has around the arguments or results, which are what Carrier.MaxMessage
// bounds: a name and metadata, or the causes and the text of an error.
const envelope = 256 + wire.MaxPairs + wire.MaxText

// Only the three functions that follow ask whether a link has an exchange.

// talk returns the exchange of a link that is not closed. It is made at first need: a message of a call.
func (l *Link) talk(now time.Time) *exchange {
	if l.exchange == nil {
		l.exchange = newExchange(now, l)
	}
	return l.exchange
}

// talking returns the exchange for a step that every link takes, whether calls have passed on it or not. It returns
// false if none have, or the link is closed: the step has nothing to do for calls.
func (l *Link) talking() (*exchange, bool) { return l.exchange, l.exchange != nil && !l.down }

// soFar returns what calls have made of the link, to be looked at and not changed: where talking returns false it is
// nothing, which all such links share.
func (l *Link) soFar() *exchange {
	if x, ok := l.talking(); ok {
		return x
	}
	return &nothing
}

// nothing is what calls make of a link on which none have passed. Nobody changes it.
var nothing = exchange{path: pathSize{size: BasePacket}}

func newExchange(now time.Time, l *Link) *exchange {
	c := l.carrier
	x := &exchange{link: l, rtt: rtt{first: l.first}}
	x.path.init(now, l.ID.Addr.Addr(), c.MaxPacket, c.Overhead())
	x.sending.Init(now, transfer.FragmentSize(x.path.size))
	x.served.init(x, c.moving, c.stored)
	largest := int64(c.MaxMessage + envelope)
	x.receiving.Init(largest, reassemblyPeer*largest, c.memory)
	x.receiving.Held.Free = c.memory.Size / int64(reassemblyParts*c.Peers)
	return x
}

// post adds an encoded message to the outbox, for the first time.
func (x *exchange) post(msg []byte) {
	if x.link.out.append(msg, x.path.size, x.link.carrier.Table.Load()) {
		x.path.filled(x.path.size)
	}
}

// say encodes a short message into the outbox.
func say[M interface{ Append([]byte) []byte }](x *exchange, m M) {
	x.scratch = m.Append(x.scratch[:0])
	x.repeat(x.scratch)
}

// crowded reports that others may have something to send soon: more than one caller waits here, or a handler runs whose
// caller has not heard of it yet.
func (x *exchange) crowded() bool { return x.calls.inUse() > 1 || x.served.fresh.head != nil }

// endBatch does what waits for the end of the reader's batch: acknowledgements of all its fragments go out together.
func (x *exchange) endBatch() {
	x.sending.Judge()
	x.postFragmentAcks()
	x.postStreamAcks()
}

// timeout does what is due of calls, see Link.timeout.
func (x *exchange) timeout(now time.Time) (unanswered bool) {
	unanswered = x.resend(now)
	x.acknowledge(now)
	x.sending.Timeout(now, x.rtt.transferTimeout())
	x.receiving.Expire(now)
	x.ask(now)
	if !x.link.isWithheld() {
		x.probe(now)
	}
	return unanswered
}

// nextTimeout is when timeout has something to do; zero: never.
func (x *exchange) nextTimeout() time.Time {
	transfers := pace.Earliest(x.sendingTimeout(), x.receiving.NextTimeout())
	replies := pace.Earliest(x.served.nextTimeout(), x.unheardAt())
	return pace.Earliest(x.calls.next, pace.Earliest(transfers, replies))
}

// sendingTimeout is when something is to be done for transfers that we send, or for the packet size. What would be sent
// anew waits while all is withheld.
func (x *exchange) sendingTimeout() time.Time {
	rto := x.rtt.transferTimeout()
	if x.link.isWithheld() {
		return x.sending.Deadline(rto)
	}
	return pace.Earliest(x.sending.NextTimeout(rto), x.path.nextTimeout())
}

// breakOff ends the calls in flight, and returns the requests that run for the peer: their contexts are to be ended,
// without the link's mutex.
func (x *exchange) breakOff(o Outcome) (running []*Request) {
	x.endCalls(o)
	x.endServedFlows()
	x.path.stop()
	return x.running()
}

// close ends them for good, and gives back what the exchange holds. Requests of the peer still come to their ends.
func (x *exchange) close(o Outcome) (running []*Request) {
	running = x.breakOff(o)
	x.receiving.Close()
	x.served.close()
	x.calls, x.sending, x.streams, x.scratch = callSlots{}, transfer.Out{}, nil, nil
	return running
}

// Snapshot is what calls have found out of a link.
type Snapshot struct {
	RoundTrip  time.Duration // smoothed; 0: not measured yet
	Resent     uint64        // requests sent more than once
	PacketSize int           // bytes in the largest datagram that is sent, the tag of sealed ones among them
}

// Snapshot is the link at this moment.
func (l *Link) Snapshot() Snapshot {
	l.mu.Lock()
	defer l.mu.Unlock()
	x := l.soFar()
	return Snapshot{x.rtt.smoothed, x.resent, x.path.size + l.carrier.Overhead()}
}
