// Package link is what is between us and one other process: a link, PROTOCOL.md 1.2 to 1.4, 2 and 3. A caller gives it
// a Request and waits for the outcome; the reader gives it the messages of each datagram, one after the other, and gets
// back what has come of them; a worker gives it a reply; the node's loop steps it when something is due. It numbers,
// seals, sends again, acknowledges, keeps replies to be asked for again, cuts large messages into fragments, finds out
// how long an answer takes and how large a datagram may be.
//
// It never waits, runs no user code, starts no goroutine, and knows nothing of the membership, of what is called, or of
// errors that users see: an outcome has the codes of PROTOCOL.md 2.6. It reads the clock where it sends fragments,
// whose time counts, or asks for a proof along with what goes, and nowhere else.
//
// Files, in the order in which a message meets them:
//
//	carrier.go    what all links of a node share
//	link.go       what a link is; how what waits in it is flushed; when it is due
//	exchange.go   what it is besides as soon as calls pass; what these have found out of it
//	birth.go      how it is made of an Open and its Offer
//	accept.go     which datagrams may come; which of two links is the better
//	step.go       the messages of calls and transfers, one at a time
//	call.go       a call of ours; slots.go: those in flight
//	serve.go      a call of the peer's; served.go: those that run, and replies that are kept
//	request.go    such a call, from when it comes until it is answered
//	transfer.go   messages in fragments, by internal/transfer; stream.go: streams in chunks
//	outbox.go     messages become datagrams; head.go: these get their headers
//	path.go       the size of datagrams; pathsize.go: how it is found out
//	proofs.go     whether the peer gets what is sent to its address; proof.go: how much may go without an answer
//	rtt.go        how long an answer takes; stopwatch.go: that of a Probe
//	replay.go     which numbers have come
//	seal.go       keys
//	timers.go     the links that want to be stepped
//	limits.go     what a peer can make its link keep
package link

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"broach/internal/pace"
	"broach/internal/wire"
)

// Link holds everything between us and one peer process, as long as both know the tokens that name it. Two processes
// may have two links for a while: calls begin on the better one, and end where they began. Whoever has work steps it,
// under its mutex: a caller, the reader, a worker with a reply, the loop when something is due. No system call and no
// user code runs under the mutex; what must be sent waits in the outbox for the flusher.
type Link struct {
	carrier *Carrier
	traffic *Traffic // on all links with the process
	ID      wire.Process
	Token   uint64         // by which we receive; it names the link
	toToken uint64         // by which the peer does
	Key     wire.PublicKey // of the peer
	born    int64          // when it was made, as of Timers.Stamp
	rank    uint32         // of its order, as are stamp and greater
	stamp   uint32

	// the reader's
	window replayWindow

	heard     atomic.Int64         // when a datagram was last accepted, as of Timers.Stamp
	dueAt     atomic.Int64         // when the loop must step it, as of Timers.Stamp; 0: never
	successor atomic.Pointer[Link] // calls begin there and no more here; nil: this is the best link

	greater bool // of its order; here these two take no room
	Began   bool // by us

	mu       sync.Mutex    // protects all below: the link's state is stepped by many, one at a time
	stepping uint32        // low 32 bits of the number of the datagram that is stepped through
	down     bool          // closed: no call begins any more
	armed    bool          // known to the timers
	inHand   hands         // who has the flushing in hand
	stepped  int64         // when the loop last stepped it, as of Timers.Stamp
	first    time.Duration // a first measure of the round trip: what the handshake took; 0: nothing was accepted yet
	number   uint64        // of the last datagram sent
	confirm  *wire.Confirm // what our datagrams begin with until one of the peer's has come; nil: with a header
	out      outbox
	proof    proof // that the peer is at its address
	rng      rand.PCG
	sealed   *linkSeals // nil: nothing is sealed

	exchange *exchange // nil: nothing but membership has passed; see talking
}

// hands are those who have the flushing of a link in hand. While the reader or a flusher has, nobody else need send.
type hands uint8

const (
	byReader  hands = 1 << iota // at the end of its batch
	byQueue                     // the loop, when it has queued all it has to say
	byFlusher                   // somebody sends now, and will take what is added meanwhile
	byLoop                      // the loop, at its next step: a flusher has left it to it
)

// has reports whether one of some does.
func (h hands) has(some hands) bool { return h&some != 0 }

// set says whether one does.
func (h *hands) set(one hands, does bool) {
	*h &^= one
	if does {
		*h |= one
	}
}

// Queue adds a membership message for FlushQueue to send, and reports whether it is the first.
func (l *Link) Queue(msg wire.Message) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.addMessage(l.outboxFor(msg.Kind()), msg.Append(nil))
	first := !l.inHand.has(byQueue)
	l.inHand |= byQueue
	return first
}

// addMessage adds a message to an outbox that may also go in a Confirm. mu is held.
func (l *Link) addMessage(out *outbox, msg []byte) {
	limit := wire.ControlPacket
	if l.confirm != nil {
		limit -= wire.ConfirmMore
	}
	out.append(msg, limit, l.carrier.Table.Load())
}

// FlushQueue sends what Queue has added.
func (l *Link) FlushQueue() {
	l.mu.Lock()
	l.inHand &^= byQueue
	l.flush()
}

// flush sends what waits, unless somebody else is about to. It is called with mu held and releases it.
//
// The flusher first lets others run, if there are any: callers that are ready add their messages to the same datagrams,
// which measured 2.8 times the calls a second with 64 callers. A lone caller would lose a sixth of its own.
func (l *Link) flush() {
	isInHand := l.inHand.has(byReader | byFlusher)
	if !isInHand || !l.isArmed() {
		l.rearm()
	}
	if isInHand || !l.pending() {
		l.mu.Unlock()
		return
	}
	l.inHand |= byFlusher
	crowded := l.soFar().crowded()
	l.mu.Unlock()
	if crowded {
		runtime.Gosched()
	}
	l.SendAll()
}

// flushTurns is how many batches a flusher sends before it hands over: a caller whose reply has come must not be kept
// sending for others who add without end.
const flushTurns = 16

// SendAll sends what waits, whoever else does so at the same time. What is added without end is left to the loop.
func (l *Link) SendAll() {
	b := batches.Get().(*batch)
	defer batches.Put(b)
	for range flushTurns {
		if !l.load(b) {
			return
		}
		b.seal()
		if n, _ := l.carrier.Transport.Send(b.out); n < len(b.out) {
			l.refused(time.Now(), b.out)
		}
		b.recycle()
	}
	l.handOver(b)
}

// handOver leaves the flushing to the loop, which is woken for it.
func (l *Link) handOver(b *batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.giveBack(b)
	l.inHand &^= byFlusher
	l.inHand.set(byLoop, l.pending())
	l.rearm()
}

// giveBack gives back what a batch that was sent has of replies. mu is held.
func (l *Link) giveBack(b *batch) {
	for i, body := range b.replies {
		l.exchange.served.takeBack(body)
		b.replies[i] = nil
	}
	b.replies = b.replies[:0]
}

// pending reports whether there is anything to send.
func (l *Link) pending() bool {
	if out := l.unwithheld(); out != nil && len(out.ready) > 0 {
		return true
	}
	return len(l.out.ready) > 0 && !l.isWithheld() || l.canSendFragments()
}

// canSendFragments reports whether a transfer has something to send now. It reads the clock itself, and only where a
// transfer is under way: as an argument the time would be read at each flush, of small calls too, and would be old by
// the second batch, whose fragments are paced by it.
func (l *Link) canSendFragments() bool {
	x, ok := l.talking()
	return ok && x.sending.IsBusy() && !l.isWithheld() && x.sending.Ready(time.Now())
}

// load fills b with the next datagrams. When there are none it ends the flush.
func (l *Link) load(b *batch) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.giveBack(b)
	if l.down {
		return false // another link may have its numbers
	}
	if l.proof.isWanted() {
		// In a datagram that goes anyway, if there is one. The clock is read once in proveAfter bytes, not at each
		// flush.
		l.prove(time.Now())
	}
	room := BatchMax
	if l.canSendFragments() {
		room -= burstMax
	}
	if out := l.unwithheld(); out != nil {
		out.moveTo(b, l.ID.Addr, room)
	}
	mayGo := l.mayGo()
	mayGo -= l.out.moveTo(b, l.ID.Addr, min(room-len(b.out), mayGo))
	stamped := len(b.out)
	if l.canSendFragments() {
		l.exchange.loadFragments(b, mayGo)
	}
	l.head(b, stamped)
	if len(b.out) == 0 {
		l.rearm()
	}
	l.inHand.set(byFlusher, len(b.out) > 0)
	return len(b.out) > 0
}

// Unhold flushes at the end of the reader's batch, whatever was added.
func (l *Link) Unhold() {
	l.mu.Lock()
	l.inHand &^= byReader
	if x, ok := l.talking(); ok {
		x.endBatch()
	}
	l.flush()
}

// Close ends the link for good.
func (l *Link) Close(o Outcome) {
	l.mu.Lock()
	var running []*Request
	if x, ok := l.talking(); ok {
		running = x.close(o)
	}
	l.down, l.out, l.proof = true, outbox{}, proof{}
	l.inHand &^= byLoop
	l.rearm()
	l.mu.Unlock()
	giveUp(running)
}

// Fail ends what goes on with a peer that cannot be reached. The link stays: the peer may come back.
func (l *Link) Fail(o Outcome) {
	l.mu.Lock()
	var running []*Request
	if x, ok := l.talking(); ok {
		running = x.breakOff(o)
	}
	l.proof.stop()
	if l.isWithheld() {
		l.out = outbox{}
	}
	l.flush()
	if o.Code != wire.Closed { // else this node closes: what runs here ends with it, and not because of its callers
		lose(running)
	}
}

// timeout does what is due: resends, polls, progress acks, lost fragments, expired state, probes. It reports whether
// the peer leaves calls unanswered.
func (l *Link) timeout(now time.Time) (unanswered bool) {
	l.mu.Lock()
	l.inHand &^= byLoop
	l.stepped = l.carrier.Timers.Stamp(now)
	if x, ok := l.talking(); ok {
		unanswered = x.timeout(now)
	}
	if l.proof.timeout(now) {
		l.prove(now)
	}
	l.flush()
	return unanswered
}

// nextTimeout is when timeout has something to do; zero: never.
func (l *Link) nextTimeout() time.Time {
	next := l.proof.nextTimeout()
	if x, ok := l.talking(); ok {
		next = pace.Earliest(next, x.nextTimeout())
	}
	return next
}

// stepPause is how soon the loop steps a link again that is still due: what cannot be done now, because somebody else
// flushes or the window is full, must not make it spin.
const stepPause = time.Millisecond

// rearm tells the loop when the link is due. mu is held.
func (l *Link) rearm() {
	due := l.carrier.Timers.Stamp(l.nextTimeout())
	if l.inHand.has(byLoop) {
		due = 1 // at once
	}
	if due != 0 && due <= l.stepped {
		due = l.stepped + int64(stepPause)
	}
	l.dueAt.Store(due)
	if due == 0 {
		return
	}
	if !l.armed {
		l.armed = true
		l.carrier.Timers.addLink(l)
	}
	l.carrier.Timers.WakeBy(due)
}

// isArmed reports that the loop will step the link, and no later than a call of ours needs it. What else is due may
// wait for who has the flushing in hand and rearms when all is sent; a call may not, whatever holds up the transport:
// its caller waits for the deadline. To find out all that is due costs a fiftieth of a call. mu is held.
func (l *Link) isArmed() bool {
	due := l.dueAt.Load()
	x, ok := l.talking()
	return ok && due > l.stepped && (x.calls.next.IsZero() || due <= l.carrier.Timers.Stamp(x.calls.next))
}

// disarm takes the link off the timers if nothing is due any more, and reports whether it did.
func (l *Link) disarm() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dueAt.Load() != 0 {
		return false
	}
	l.armed = false
	return true
}

// LastHeard is when a datagram of the peer was last accepted.
func (l *Link) LastHeard() time.Time { return l.carrier.Timers.time(l.heard.Load()) }
