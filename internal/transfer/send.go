package transfer

import (
	"math/bits"
	"slices"
	"sort"
	"time"

	"broach/internal/pace"
	"broach/internal/ring"
	"broach/internal/wire"
)

// firstProbe is the wait before a transfer that is not welcome asks again; it doubles up to slowestRetry.
const firstProbe = 10 * time.Millisecond

// Out sends the large messages of one link, [FRAG-5] and [FRAG-6]. It belongs to the link and is stepped under
// its mutex. The link bounds the bytes that wait here, and sends its small messages between fragments, [FRAG-7].
type Out struct {
	size    uint32 // bytes of a fragment
	lastID  uint32
	active  []*Outgoing          // at most maxTransfers, the oldest first; others wait only while there is one
	turn    int                  // position in active of the transfer whose turn it is
	waiting ring.Ring[*Outgoing] // with the ids that follow; a stopped one has no body
	flight  flight

	// Of streams: see open.go. A link that has none has none of it.
	opened  map[uint32]*Outgoing
	streams []*Outgoing
	ready   ring.Ring[*Outgoing] // those that can send, and may be over
	isTurn  bool                 // that of a stream, before messages
	askAt   time.Time            // no stream asks before; zero: none does
	part    wire.Chunk           // what Next has returned last

	HeardAt time.Time // when one of them was last acknowledged, be it that there is no room for it
}

// An Outgoing is a message being sent.
//
//	base <= next <= high <= count
type Outgoing struct {
	cut
	Id   uint32
	tag  uint64
	Body Body

	base uint32 // all fragments below it have arrived
	next uint32 // the first fragment that was not sent
	high uint32 // the first fragment that was never sent: above next when the receiver did not want what was sent

	limit   uint32 // the receiver wants fragments below it
	heard   bool   // the receiver has said so
	probeAt time.Time
	probes  int

	orders []sendOrder // of the fragments [base, next), a ring

	open *openBody // it is a stream; nil: a message
}

// Init prepares for fragments of size bytes, as FragmentSize gives them.
func (o *Out) Init(now time.Time, size int) {
	*o = Out{size: uint32(size)}
	o.flight.init(now, size)
}

// Start begins the transfer of body: the kind and body of a message. It is borrowed until Ack says that the transfer is
// finished, or until Stop: both give the tag back. At most 64 transfers are under way, the others follow in order.
func (o *Out) Start(body Body, tag uint64) (id uint32) {
	return o.StartCut(body, tag, o.size)
}

// StartCut is Start with fragments of another size.
func (o *Out) StartCut(body Body, tag uint64, size uint32) (id uint32) {
	if len(body.Head) == 0 || body.size() > 1<<32-1 {
		panic("broach: internal error: a transfer has 1 to 2^32-1 bytes")
	}
	id = o.nextID()
	o.waiting.Push(&Outgoing{
		cut:   cutInto(uint32(body.size()), size),
		Id:    id,
		tag:   tag,
		Body:  body,
		limit: fragmentSpan, // until the receiver says another: a message of 1 MiB need not wait for its leave
	})
	o.promote()
	return id
}

// Resize sets the size of fragments. It returns the messages that are under way with larger ones; streams with larger
// ones are begun anew.
func (o *Out) Resize(now time.Time, size int) (larger []*Outgoing) {
	o.size = uint32(size)
	for i := range o.waiting.Len() {
		if t := *o.waiting.At(i); t.size > o.size {
			t.cut = cutInto(t.total, o.size)
		}
	}
	for _, t := range o.active {
		if t.size > o.size {
			larger = append(larger, t)
		}
	}
	for _, t := range slices.Clone(o.streams) {
		o.resizeOpen(now, t)
	}
	return larger
}

// promote begins transfers that wait.
func (o *Out) promote() {
	for o.waiting.Len() > 0 && o.mayBegin(*o.waiting.At(0)) {
		if t := o.waiting.Pop(); t.Body.Head != nil {
			t.orders = make([]sendOrder, ringSize(t.count))
			o.active = append(o.active, t)
		}
	}
}

// mayBegin says whether another transfer may be under way, and this one: maxIDSpread has the reason.
func (o *Out) mayBegin(t *Outgoing) bool {
	return len(o.active) == 0 || len(o.active) < maxTransfers && t.Id-o.active[0].Id < maxIDSpread
}

// ringSize returns the power of two that holds the fragments of a transfer that can be in flight.
func ringSize(fragments uint32) int {
	return 1 << bits.Len32(min(fragments, fragmentSpan)-1)
}

// IsBusy reports whether anything may be there to send. It is quick, and true where that is not known.
func (o *Out) IsBusy() bool { return len(o.active) > 0 || o.ready.Len() > 0 || o.flight.lost.Len() > 0 }

// pick chooses the next fragment that may go now.
func (o *Out) pick(now time.Time) (*Outgoing, uint32) {
	t, index := o.choose(now)
	if t == nil {
		return nil, 0
	}
	if !o.flight.hasRoom() || !o.flight.mayGo(now) {
		o.flight.window.round.isFull = true
		return nil, 0
	}
	return t, index
}

// choose chooses the next fragment: what was lost first, then one of each transfer in turn, a stream and a message.
func (o *Out) choose(now time.Time) (*Outgoing, uint32) {
	if t, index := o.flight.nextLost(); t != nil {
		return t, index
	}
	if o.isTurn {
		if t := o.nextStream(); t != nil {
			return t, t.next
		}
	}
	if t := o.nextMessage(now); t != nil {
		return t, t.next
	}
	if t := o.nextStream(); t != nil {
		return t, t.next
	}
	return nil, 0
}

// nextMessage returns the message whose turn it is; nil: none can send.
func (o *Out) nextMessage(now time.Time) *Outgoing {
	reach := o.flight.window.reach()
	for range o.active {
		o.turn %= len(o.active)
		if t := o.active[o.turn]; t.canSend(now, reach) {
			return t
		}
		o.turn++
	}
	return nil
}

// canSend says whether the fragment next may go, which is within reach, in bytes. When the receiver wants none, one is
// sent now and then, to hear whether it does.
func (t *Outgoing) canSend(now time.Time, reach int) bool {
	if t.isBlocked() {
		return t.next == t.base && !now.Before(t.probeAt)
	}
	return t.isWithin(reach)
}

// isWithin says whether the receiver wants the fragment next, and it is within reach.
func (t *Outgoing) isWithin(reach int) bool {
	ahead := min(max(uint32(reach)/t.size, leastWindow), fragmentSpan)
	return t.next < min(t.limit, t.base+ahead, t.count)
}

func (t *Outgoing) isBlocked() bool { return t.limit <= t.base }

func (t *Outgoing) order(index uint32) *sendOrder {
	return &t.orders[index&uint32(len(t.orders)-1)]
}

// Ack takes an acknowledgement. When it is the last of a transfer, finished is true and tag that of the transfer. The
// round trip is that of the newest fragment that was sent once: 0 when there is none newer than those measured before.
func (o *Out) Ack(now time.Time, a wire.FragmentAck) (tag uint64, finished bool, roundTrip time.Duration) {
	t := o.find(a.Transfer)
	if t == nil || a.Base > t.high || len(a.Bitmap) > fragmentSpan/8 {
		return 0, false, 0
	}
	o.HeardAt = now
	measured := o.flight.measured
	o.acknowledge(now, t, a)
	if t.open == nil {
		o.obey(now, t, a.Limit)
	}
	o.flight.trim()
	if t.open != nil {
		o.obeyOpen(now, t, a.Limit)
	}
	if o.flight.measured != measured {
		roundTrip = o.flight.roundTrip
	}
	if t.base < t.count {
		return 0, false, roundTrip
	}
	o.end(t)
	return t.tag, true, roundTrip
}

// Judge decides what is lost, once all acknowledgements of a batch were taken: those of several transfers come one
// behind the other, and the first alone would make the fragments of the others look overtaken.
func (o *Out) Judge() { o.flight.detectLoss() }

// hasMore says whether there is a fragment that only the window and its pace hold back.
func (o *Out) hasMore() bool {
	if t, _ := o.flight.nextLost(); t != nil || o.nextStream() != nil {
		return true
	}
	reach := o.flight.window.reach()
	for _, t := range o.active {
		if !t.isBlocked() && t.isWithin(reach) {
			return true
		}
	}
	return false
}

// Room says how many bytes the receiver has room for at once, [FRAG-16].
func (o *Out) Room(bytes int64) {
	w := &o.flight.window
	w.room = int(min(bytes, maxWindowFar))
	w.size = min(w.size, w.limit())
}

// Expect says how long a round trip is likely to be, as long as no fragment has measured one.
func (o *Out) Expect(roundTrip time.Duration) {
	o.flight.window.expect(roundTrip)
}

func (o *Out) find(id uint32) *Outgoing {
	if t := o.opened[id]; t != nil {
		return t
	}
	for _, t := range o.active {
		if t.Id == id {
			return t
		}
	}
	return nil
}

// acknowledge takes what has arrived out of flight. Bits for what was not sent mean nothing.
func (o *Out) acknowledge(now time.Time, t *Outgoing, a wire.FragmentAck) {
	for ; t.base < min(a.Base, t.next); t.base++ {
		o.flight.acknowledge(now, t, t.base, a.Newest)
		if t.open != nil {
			t.open.pass()
		}
	}
	t.base = max(t.base, a.Base)
	t.next = max(t.next, t.base)
	for i, b := range a.Bitmap {
		for ; b != 0; b &= b - 1 {
			index := a.Base + 1 + uint32(i*8+bits.TrailingZeros8(b))
			if t.base <= index && index < t.next {
				o.flight.acknowledge(now, t, index, a.Newest)
			}
		}
	}
}

// obey takes the receiver's limit. It never goes back, but the first may lie below what was sent: the receiver has
// dropped the fragments above it, which says nothing about the network.
func (o *Out) obey(now time.Time, t *Outgoing, limit uint32) {
	if t.heard {
		limit = max(limit, t.limit)
	}
	t.limit, t.heard = limit, true
	o.recall(t, max(t.limit, t.base))
	if !t.isBlocked() {
		t.probes = 0
	} else if !now.Before(t.probeAt) {
		t.probeAt = now.Add(min(firstProbe<<t.probes, slowestRetry))
		t.probes = min(t.probes+1, 10)
	}
}

// recall makes all fragments from index on unsent.
func (o *Out) recall(t *Outgoing, index uint32) {
	for ; t.next > index; t.next-- {
		o.flight.recall(t, t.next-1)
	}
}

// Stop ends a transfer before it is finished: given up, or refused by the receiver. It returns false when there is no
// such transfer.
func (o *Out) Stop(id uint32) (tag uint64, ok bool) {
	if t := o.find(id); t != nil {
		o.recall(t, t.base)
		o.flight.trim()
		o.end(t)
		return t.tag, true
	}
	if t := o.findWaiting(id); t != nil {
		t.Body = Body{}
		return t.tag, true
	}
	return 0, false
}

func (o *Out) findWaiting(id uint32) *Outgoing {
	i := sort.Search(o.waiting.Len(), func(i int) bool { return int32((*o.waiting.At(i)).Id-id) >= 0 })
	if i == o.waiting.Len() {
		return nil
	}
	if t := *o.waiting.At(i); t.Id == id && t.Body.Head != nil {
		return t
	}
	return nil
}

// end gives a body back.
func (o *Out) end(t *Outgoing) {
	if t.open != nil {
		o.endOpen(t)
		return
	}
	t.Body = Body{}
	o.active = slices.DeleteFunc(o.active, func(other *Outgoing) bool { return other == t })
	o.promote()
}

// Timeout takes as lost what was not heard of for the retransmission time.
func (o *Out) Timeout(now time.Time, rto time.Duration) {
	o.flight.timeout(now, rto)
}

// LostAgain reports whether, since it was last asked, a fragment was lost that had been sent before, or several in a
// row.
func (o *Out) LostAgain() bool {
	was := o.flight.lostAgain
	o.flight.lostAgain = false
	return was
}

// Lossy reports whether, since it was last asked, more was lost than before that slowing down does not cure, or too
// many large fragments were a second time.
func (o *Out) Lossy() bool {
	was := o.flight.window.lossy || o.flight.lossy
	o.flight.window.lossy, o.flight.lossy = false, false
	return was
}

// Passed returns the bytes in the largest fragment that arrived since it was last asked; 0 when none did.
func (o *Out) Passed() int {
	size := o.flight.passed
	o.flight.passed = 0
	return int(size)
}

// Deadline returns when what is under way counts as lost if nothing is heard until then; zero when nothing is under
// way. It is what is left of NextTimeout while nothing may be sent.
func (o *Out) Deadline(rto time.Duration) time.Time { return o.flight.deadline(rto) }

// NextTimeout returns when to call Timeout, or Next for what is paced, or for a transfer that asks whether it is
// welcome: zero when neither.
func (o *Out) NextTimeout(rto time.Duration) time.Time {
	at := pace.Earliest(o.flight.deadline(rto), o.askAt)
	if !o.flight.hasRoom() {
		return at
	}
	if o.flight.pacer.free > 0 && o.hasMore() {
		at = pace.Earliest(at, o.flight.epoch.Add(o.flight.pacer.next()))
	}
	for _, t := range o.active {
		if t.isBlocked() && t.next == t.base {
			at = pace.Earliest(at, pace.Later(t.probeAt, o.flight.epoch.Add(o.flight.pacer.free)))
		}
	}
	return at
}
