package broach

import (
	"math/rand/v2"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"broach/internal/wire"
)

// carrier is what all links of a node share.
type carrier struct {
	transport  transport
	boot       uint64
	cluster    uint64
	table      atomic.Uint32 // version of our service table
	maxPacket  int
	maxMessage int
	silence    time.Duration // Config.AckTimeout
	timers     timers
	circuits   atomic.Bool // a breaker opened or closed: the loop is to publish it
	memory     *memory     // of reassembly, all links together
	moving     *memory     // of replies under way as transfers
	stored     *memory     // of replies that are kept
	stats      counters
	pendings   sync.Pool // of *pendingCall
	sealing
	floors floors
}

// header fills in the header of a datagram.
func (c *carrier) header(datagram []byte, table uint32, keyID byte, receiver, number uint64) {
	wire.AppendHeader(datagram[:0], wire.Header{
		KeyID: keyID, TableVersion: table, Cluster: c.cluster, Sender: c.boot, Receiver: receiver, Number: number,
	})
}

// link holds everything between us and one peer process. Whoever has work steps it, under its mutex: a caller, the reader,
// a worker with a reply, the loop when something is due. No system call and no user code runs under the mutex; what must be
// sent waits in the outbox for the flusher.
type link struct {
	*carrier
	id linkID

	// the reader's
	window    replayWindow
	skipped   uint64    // numbers that the peer left out when it began
	noted     time.Time // when the loop was last told of traffic
	tableSeen uint32    // highest table version in the peer's headers

	heard    atomic.Int64  // when a datagram was last accepted, as of carrier.timers.stamp
	inflight atomic.Int32  // our calls to it, for the balancer
	draining atomic.Bool   // it wants no more calls
	arrived  atomic.Uint64 // datagrams accepted
	bytesIn  atomic.Uint64 // in them
	numbered atomic.Uint64 // datagrams that the peer has sent, by their numbers
	tripped  atomic.Bool   // the breaker of a function may be open
	dueAt    atomic.Int64  // when the loop must step it, as of carrier.timers.stamp; 0: never

	mu       sync.Mutex // protects all below: the link's state is stepped by many, one at a time
	down     bool       // closed: no call begins any more
	armed    bool       // known to the timers
	held     bool       // the reader will flush at the end of its batch
	queued   bool       // the loop will flush when it has queued all
	flushing bool       // somebody flushes and will take what is added meanwhile
	handed   bool       // the loop is to flush
	stepped  int64      // when the loop last stepped it, as of carrier.timers.stamp
	number   uint64     // of the last datagram sent
	bytesOut uint64     // in datagrams
	out      outbox
	rng      rand.PCG
	sealed   *linkSeals // nil: nothing is sealed

	experiences map[string]*experience // by function, of those called

	*exchange
}

// exchange is the part of a link that only calls need. Peers that merely know of each other, the most in a large cluster,
// do without.
type exchange struct {
	rtt       rtt
	path      pathSize
	calls     callSlots
	served    servedSlots
	sending   outTransfers
	receiving inTransfers
	scratch   []byte // a message being encoded
	resent    uint64 // requests sent more than once, for Stats
}

// envelope is room for what a Request or Reply has around the arguments or results, which are what Config.MaxMessage bounds.
const envelope = 256

// talk makes the exchange at first need.
func (l *link) talk(now time.Time) {
	if l.exchange != nil {
		return
	}
	l.exchange = &exchange{}
	l.path.init(now, l.maxPacket)
	l.sending.init(now, fragmentSize(l.path.size))
	_, l.calls.floor, l.sending.lastID = l.floors.get()
	l.served.init(l, l.moving, l.stored)
	l.receiving.init(l.maxMessage+envelope, reassemblyPeer*(l.maxMessage+envelope), l.memory)
}

// post adds an encoded message to the outbox, for the first time. mu is held.
func (l *link) post(msg []byte) {
	if l.out.append(msg, l.path.size, l.carrier.table.Load()) {
		l.path.filled()
	}
}

// say encodes a short message into the outbox. mu is held.
func say[M interface{ Append([]byte) []byte }](l *link, m M) {
	l.scratch = m.Append(l.scratch[:0])
	l.repeat(l.scratch)
}

// queue adds a membership message for flushQueue to send, and reports whether it is the first.
func (l *link) queue(msg wire.Message) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.out.append(msg.Append(nil), controlPacket, l.carrier.table.Load())
	first := !l.queued
	l.queued = true
	return first
}

// flushQueue sends what queue has added.
func (l *link) flushQueue() {
	l.mu.Lock()
	l.queued = false
	l.flush()
}

// sendOutside sends a message in a datagram that belongs to no link.
func sendOutside[M interface{ Append([]byte) []byte }](c *carrier, to netip.AddrPort, m M) {
	b := batches.Get().(*batch)
	b.out = append(b.out, datagram{addr: to, b: c.sealOutside(m.Append(newPacket()))})
	c.transport.send(b.out)
	b.recycle()
	batches.Put(b)
}

// flush sends what waits, unless somebody else is about to. It is called with mu held and releases it.
//
// The flusher first lets others run, if there are any: callers that are ready add their messages to the same datagrams, which
// measured 2.8 times the calls a second with 64 callers. A lone caller would lose a sixth of its own.
func (l *link) flush() {
	l.rearm()
	if l.held || l.flushing || !l.pending() {
		l.mu.Unlock()
		return
	}
	l.flushing = true
	crowded := l.crowded()
	l.mu.Unlock()
	if crowded {
		runtime.Gosched()
	}
	l.sendAll()
}

// crowded reports that others may have something to send soon: more than one caller waits here, or a handler runs whose caller
// has not heard of it yet. mu is held.
func (l *link) crowded() bool {
	return l.exchange != nil && (l.calls.inUse() > 1 || l.served.fresh.head != nil)
}

// flushTurns is how many batches a flusher sends before it hands over: a caller whose reply has come must not be kept sending
// for others who add without end.
const flushTurns = 16

// sendAll sends what waits, whoever else does so at the same time. What is added without end is left to the loop.
func (l *link) sendAll() {
	b := batches.Get().(*batch)
	defer batches.Put(b)
	for range flushTurns {
		if !l.load(b) {
			return
		}
		b.seal()
		l.transport.send(b.out)
		b.recycle()
	}
	l.handOver()
}

// handOver leaves the flushing to the loop, which is woken for it.
func (l *link) handOver() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flushing = false
	l.handed = l.pending()
	l.rearm()
}

// pending reports whether there is anything to send.
func (l *link) pending() bool {
	return len(l.out.ready) > 0 || l.canSendFragments()
}

// canSendFragments reports whether a transfer has something to send now.
func (l *link) canSendFragments() bool {
	return l.exchange != nil && l.sending.unfinished() > 0 && l.sending.ready(time.Now())
}

// load fills b with the next datagrams. When there are none it ends the flush.
func (l *link) load(b *batch) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return false // another link may have its numbers
	}
	room := batchMax
	if l.canSendFragments() {
		room -= burstMax
	}
	n := min(len(l.out.ready), room)
	for _, d := range l.out.ready[:n] {
		b.out = append(b.out, datagram{addr: l.id.addr, b: d})
	}
	l.out.ready = append(l.out.ready[:0], l.out.ready[n:]...)
	l.loadFragments(b)
	l.head(b, n)
	l.rearm()
	l.flushing = len(b.out) > 0
	return l.flushing
}

// head writes the headers of a batch, whose first datagrams say which table they were made with. mu is held.
func (l *link) head(b *batch, stamped int) {
	keyID := byte(0)
	if b.sealer = l.sealer(); b.sealer != nil {
		keyID = b.sealer.KeyID()
	}
	for i := range b.out {
		l.number++
		table := l.carrier.table.Load()
		if i < stamped {
			table = stampOf(b.out[i].b)
		}
		l.header(b.out[i].b, table, keyID, l.id.boot, l.number)
		l.bytesOut += uint64(len(b.out[i].b) + l.overhead())
		if l.exchange != nil {
			l.path.sent(len(b.out[i].b))
		}
	}
}

// unhold flushes at the end of the reader's batch: acknowledgements of all fragments of the batch go out with whatever else was added.
func (l *link) unhold() {
	l.mu.Lock()
	l.held = false
	if l.exchange != nil {
		l.sending.judge()
		l.postFragmentAcks()
	}
	l.flush()
}

// close ends the link for good.
func (l *link) close(o outcome) {
	l.mu.Lock()
	l.down = true
	running := l.endAll(o)
	l.raiseFloors()
	if l.exchange != nil {
		l.receiving.close()
		l.served.close()
	}
	l.exchange, l.out, l.handed = nil, outbox{}, false
	l.rearm()
	l.mu.Unlock()
	for _, r := range running {
		r.giveUp()
	}
}

// fail ends what goes on with a peer that cannot be reached. The link stays: the peer may come back.
func (l *link) fail(o outcome) {
	l.mu.Lock()
	running := l.endAll(o)
	if o.gone {
		l.forgive()
	}
	if l.exchange != nil {
		l.path.stop()
	}
	l.flush()
	for _, r := range running {
		r.giveUp()
	}
}

// endAll ends the calls in flight, and returns the requests that run for the peer: their contexts are to be ended, without mu.
func (l *link) endAll(o outcome) []*request {
	l.endCalls(o)
	return l.running()
}

// timeout does what is due: resends, polls, progress acks, lost fragments, expired state, probes. It reports whether the peer leaves
// calls unanswered.
func (l *link) timeout(now time.Time) (unanswered bool) {
	l.mu.Lock()
	l.handed, l.stepped = false, l.timers.stamp(now)
	if l.exchange != nil {
		unanswered = l.resend(now)
		l.acknowledge(now)
		l.sending.timeout(now, l.rtt.transferTimeout())
		l.receiving.expire(now)
		l.probe(now)
	}
	l.flush()
	return unanswered
}

// nextTimeout is when timeout has something to do; zero: never.
func (l *link) nextTimeout() time.Time {
	if l.exchange == nil {
		return time.Time{}
	}
	transfers := earliest(l.sending.nextTimeout(l.rtt.transferTimeout()), l.receiving.nextTimeout())
	replies := earliest(l.served.nextTimeout(), l.unheardAt())
	return earliest(earliest(l.calls.next, replies), earliest(transfers, l.path.nextTimeout()))
}

// stepPause is how soon the loop steps a link again that is still due: what cannot be done now, because somebody else flushes
// or the window is full, must not make it spin.
const stepPause = time.Millisecond

// rearm tells the loop when the link is due. mu is held.
func (l *link) rearm() {
	due := l.timers.stamp(l.nextTimeout())
	if l.handed {
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
		l.timers.add(l)
	}
	l.timers.wakeBy(due)
}

// disarm takes the link off the timers if nothing is due any more, and reports whether it did.
func (l *link) disarm() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dueAt.Load() != 0 {
		return false
	}
	l.armed = false
	return true
}

// lastHeard is when a datagram of the peer was last accepted.
func (l *link) lastHeard() time.Time { return l.timers.time(l.heard.Load()) }

// linkID names a peer process: its boot id, and the address it advertises.
type linkID struct {
	boot uint64
	addr netip.AddrPort
}
