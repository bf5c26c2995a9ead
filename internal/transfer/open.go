package transfer

import (
	"time"

	"broach/internal/buffer"
	"broach/internal/pace"
	"broach/internal/ring"
	"broach/internal/wire"
)

const (
	// farTrip is the round trip from which on no chunk waits to become full, [STR-4]. On a shorter way it does until
	// the one before is acknowledged: a hundred small items may come in that time.
	farTrip = 2 * time.Millisecond

	slowestAsk = time.Second // between two questions whether more is welcome, [STR-3]

	// mostChunks are sent of a transfer before it is begun anew: so their numbers are never compared as they wrap.
	mostChunks = 1 << 31

	firstChunks = 8 // in flight, for which there is room at first: most streams have no more
	leastChunk  = minFragment
)

// A Source is what the bytes of a stream are taken from. Its methods do not wait.
type Source interface {
	// Take appends at most most bytes to dst. last: nothing follows them, which may be none
	Take(dst []byte, most int) (_ []byte, last bool)
	// Want asks for a Wake when n bytes are there, or the last. It reports true if that is so already
	Want(n int) (isThere bool)
	Waiting() int // bytes that are there
	End() error   // not nil: no more will come
}

// An open transfer is that of a stream: what an Outgoing has in place of a body. Its bytes are taken from a source when
// they may go, in chunks of any length, which are kept until they have arrived.
//
//	arrived <= position <= welcome, but for what is sent again
//	chunks  = those in [base, next)
type openBody struct {
	handle  *Stream
	source  Source
	call    wire.Chunk // what all chunks have in common
	chunks  ring.Ring[sentChunk]
	arrived uint64 // where in the stream the chunk base begins
	// where the next begins, and before which bytes are welcome
	position, welcome uint64
	again             []byte // to be sent before the source's: they were part of a transfer that was begun anew
	hasLast           bool   // the last was taken from the source
	owesLast          bool   // and goes with again
	isReady           bool   // it stands in the queue of those that can send
	isOver            bool
	sentAt            time.Time // when something of it was last sent
	askAt             time.Time
	asks              int // in a row
}

// A Stream is one that is sent, under whatever number.
type Stream struct{ t *Outgoing }

// A sentChunk is one that has not arrived, or others before it have not.
type sentChunk struct {
	data []byte
	last bool
}

// Open begins the transfer of a stream. call names the call and the direction; welcome is how many KiB are.
func (o *Out) Open(now time.Time, s Source, call wire.Chunk, welcome uint32, tag uint64) *Stream {
	handle := new(Stream)
	o.begin(now, &Outgoing{tag: tag, open: &openBody{
		handle: handle, source: s, call: call, welcome: uint64(welcome) << 10,
	}})
	return handle
}

// ID is the number of its transfer.
func (s *Stream) ID() uint32 { return s.t.Id }

// begin takes an open transfer up under a number of its own.
func (o *Out) begin(now time.Time, t *Outgoing) {
	t.Id = o.nextID()
	t.cut = cut{size: o.size, count: 1<<32 - 1}
	t.orders = make([]sendOrder, firstChunks)
	t.open.call.Transfer, t.open.handle.t = t.Id, t
	if o.opened == nil {
		o.opened = make(map[uint32]*Outgoing)
	}
	o.opened[t.Id] = t
	o.streams = append(o.streams, t)
	t.open.sentAt = now
	o.askBy(t, now.Add(Idle))
}

// nextID draws a number that no transfer has.
func (o *Out) nextID() uint32 {
	for {
		o.lastID++
		if _, isTaken := o.opened[o.lastID]; o.lastID != 0 && !isTaken { // 0 is no transfer
			return o.lastID
		}
	}
}

// anew begins an open transfer anew under another number, from what has not arrived: its chunks are too large, or there
// were too many.
func (o *Out) anew(now time.Time, t *Outgoing) {
	b := t.open
	next := &Outgoing{tag: t.tag, open: &openBody{
		handle: b.handle, source: b.source, call: b.call, arrived: b.arrived, position: b.arrived, welcome: b.welcome,
		hasLast: b.hasLast, owesLast: b.hasLast, askAt: b.askAt,
	}}
	for i := range b.chunks.Len() {
		next.open.again = append(next.open.again, b.chunks.At(i).data...)
	}
	next.open.again = append(next.open.again, b.again...)
	next.open.call.GoesOn, next.open.call.From = true, b.arrived
	o.recall(t, t.base)
	o.flight.trim()
	o.endOpen(t)
	o.begin(now, next)
	o.wake(now, next)
}

// endOpen forgets an open transfer.
func (o *Out) endOpen(t *Outgoing) {
	delete(o.opened, t.Id)
	for i, other := range o.streams {
		if other == t {
			last := len(o.streams) - 1
			o.streams[i], o.streams[last] = o.streams[last], nil
			o.streams = o.streams[:last]
			break
		}
	}
	for t.open.chunks.Len() > 0 {
		recycleChunk(t.open.chunks.Pop())
	}
	t.open.isOver = true
}

func recycleChunk(c sentChunk) {
	if cap(c.data) > 0 {
		buffer.Recycle(c.data)
	}
}

// largest is how many bytes a chunk has at most.
func (t *Outgoing) largest() int {
	n := int(t.size) - (wire.ChunkHead - wire.FragmentHead)
	if t.open.call.GoesOn {
		n -= wire.ChunkMore
	}
	return n
}

// Wake has an open transfer send, if it can: its source has something.
func (o *Out) Wake(now time.Time, s *Stream) { o.wake(now, s.t) }

func (o *Out) wake(now time.Time, t *Outgoing) {
	b := t.open
	if b.isReady || b.isOver {
		return
	}
	if _, ok := o.portion(t); ok {
		b.isReady = true
		o.ready.Push(t)
	} else if t.isStarved() {
		o.askBy(t, now.Add(min(firstProbe<<b.asks, slowestAsk)))
	}
}

// isStarved says that bytes wait only because they are not welcome.
func (t *Outgoing) isStarved() bool {
	b := t.open
	return t.base == t.next && b.position == b.welcome && b.source.Waiting() > 0
}

// portion is how many bytes the next chunk of an open transfer has, if it may go as far as the transfer is concerned,
// [STR-4]. Where only bytes are missing the source is asked to say when they are there.
func (o *Out) portion(t *Outgoing) (n int, ok bool) {
	b := t.open
	switch most := t.largest(); {
	case !o.isNear(t) || t.next >= mostChunks:
		return 0, false
	case len(b.again) > 0 || b.owesLast:
		return min(len(b.again), most), true
	case b.hasLast:
		return 0, false
	default:
		return o.fresh(t, most)
	}
}

// isNear says whether the next chunk is within what may be unacknowledged of one transfer, [FRAG-13].
func (o *Out) isNear(t *Outgoing) bool {
	ahead := t.open.position - t.open.arrived + uint64(t.largest())
	return t.next-t.base < fragmentSpan && ahead <= uint64(max(o.flight.window.reach(), leastWindow*int(t.size)))
}

// fresh is the portion of bytes that were never sent.
func (o *Out) fresh(t *Outgoing, most int) (n int, ok bool) {
	b := t.open
	for {
		isWhole := b.source.End() != nil // before the bytes are counted: then these are all
		waiting := b.source.Waiting()
		n = min(waiting, most, int(min(b.welcome-b.position, 1<<30)))
		mayBePartial := t.next == t.base || o.flight.window.smooth >= farTrip
		switch {
		case n == most, isWhole && n == waiting, n > 0 && mayBePartial:
			return n, true
		case isWhole || waiting >= most || waiting > n:
			return 0, false // an acknowledgement will wake it
		}
		enough := most
		if mayBePartial {
			enough = 1
		}
		if !b.source.Want(enough) {
			return 0, false
		}
	}
}

// nextStream returns the open transfer whose turn it is; nil: none can send.
func (o *Out) nextStream() *Outgoing {
	for o.ready.Len() > 0 {
		t := *o.ready.At(0)
		if !t.open.isOver {
			if _, ok := o.portion(t); ok {
				return t
			}
			t.open.isReady = false
		}
		o.ready.Pop()
	}
	return nil
}

// takeChunk takes the next chunk of an open transfer from its source. There must be a portion.
func (o *Out) takeChunk(t *Outgoing) {
	b := t.open
	n, _ := o.portion(t)
	var c sentChunk
	if len(b.again) > 0 || b.owesLast {
		c = b.takeAgain(n)
	} else if n > 0 {
		c.data, c.last = b.source.Take(buffer.Bytes(int64(n))[:0], n)
	} else {
		_, c.last = b.source.Take(nil, 0)
	}
	b.position += uint64(len(c.data))
	if b.hasLast = b.hasLast || c.last; c.last {
		t.count = t.next + 1
	}
	b.chunks.Push(c)
	if t.next-t.base == uint32(len(t.orders)) {
		t.growOrders()
	}
}

// takeAgain takes the next chunk of what is sent anew.
func (b *openBody) takeAgain(n int) (c sentChunk) {
	c.data = append(buffer.Bytes(int64(n))[:0], b.again[:n]...)
	if b.again = b.again[n:]; len(b.again) == 0 {
		b.again = nil
		c.last, b.owesLast = b.owesLast, false
	}
	return c
}

// growOrders makes room for more chunks in flight.
func (t *Outgoing) growOrders() {
	old := t.orders
	t.orders = make([]sendOrder, 2*len(old))
	for i := t.base; i != t.next; i++ {
		*t.order(i) = old[i&uint32(len(old)-1)]
	}
}

// rotate gives the next open transfer its turn, when one has sent a chunk.
func (o *Out) rotate(now time.Time, t *Outgoing) {
	t.open.sentAt = now
	o.ready.Pop()
	t.open.isReady = false
	o.wake(now, t)
}

// length is what a fragment counts for in flight; so much of a chunk at least, for datagrams cost.
func (t *Outgoing) length(index uint32) int {
	if t.open == nil {
		return t.cut.length(index)
	}
	return max(len(t.open.chunks.At(int(index-t.base)).data), leastChunk)
}

// weight is what it counts for where the network is judged.
func (t *Outgoing) weight(index uint32) int {
	if t.open == nil || index-t.base >= uint32(t.open.chunks.Len()) {
		return int(t.size)
	}
	return t.length(index)
}

// passes is the size of a fragment in the datagram of which it shows that it passes; 0: it shows nothing.
func (t *Outgoing) passes(index uint32) uint32 {
	switch {
	case t.open != nil:
		return t.size - uint32(t.largest()) + uint32(t.length(index))
	case index+1 < t.count:
		return t.size
	}
	return 0
}

// chunk is what is sent of an open transfer.
func (t *Outgoing) chunk(index uint32) wire.Chunk {
	c := t.open.chunks.At(int(index - t.base))
	m := t.open.call
	m.Index, m.Data, m.Last = index, c.data, c.last
	return m
}

// obeyOpen takes the limit in an acknowledgement, [STR-3], and has the transfer go on.
func (o *Out) obeyOpen(now time.Time, t *Outgoing, limit uint32) {
	b := t.open
	if more := int32(limit - uint32(b.welcome>>10)); more > 0 {
		b.welcome = (b.welcome>>10 + uint64(more)) << 10
		b.asks = 0
	}
	if t.next >= mostChunks {
		o.anew(now, t)
		return
	}
	o.wake(now, t)
}

// pass lets go of the first chunk, which has arrived.
func (b *openBody) pass() {
	c := b.chunks.Pop()
	b.arrived += uint64(len(c.data))
	recycleChunk(c)
}

// resizeOpen takes up another size of fragments. A stream with larger chunks under way is begun anew.
func (o *Out) resizeOpen(now time.Time, t *Outgoing) {
	t.size = o.size
	for i := range t.open.chunks.Len() {
		if len(t.open.chunks.At(i).data) > t.largest() {
			o.anew(now, t)
			return
		}
	}
}

// askBy has an open transfer ask at a time, if not before.
func (o *Out) askBy(t *Outgoing, at time.Time) {
	if b := t.open; b.askAt.IsZero() || at.Before(b.askAt) {
		b.askAt = at
	}
	o.askAt = pace.Earliest(o.askAt, t.open.askAt)
}

// Asks returns the chunks without bytes that are due: of who has nothing welcome, [STR-3], or has sent nothing for
// long, [STR-7].
func (o *Out) Asks(now time.Time) (due []wire.Chunk) {
	if o.askAt.IsZero() || now.Before(o.askAt) {
		return nil
	}
	o.askAt = time.Time{}
	for _, t := range o.streams {
		if !now.Before(t.open.askAt) && t.isToAsk(now) {
			m := t.open.call
			m.Index = t.next
			due = append(due, m)
		}
		o.askAt = pace.Earliest(o.askAt, t.open.askAt)
	}
	return due
}

// isToAsk reports whether an open transfer whose time has come asks, and says when it does next.
func (t *Outgoing) isToAsk(now time.Time) bool {
	b := t.open
	isStarved := t.isStarved()
	if idle := b.sentAt.Add(Idle); !isStarved && now.Before(idle) {
		b.askAt = idle
		return false
	}
	b.sentAt, b.askAt = now, now.Add(Idle)
	if isStarved {
		b.asks = min(b.asks+1, 10)
		b.askAt = now.Add(min(firstProbe<<b.asks, slowestAsk))
	}
	return true
}
