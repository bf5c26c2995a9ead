package transfer

import (
	"slices"
	"sort"

	"broach/internal/buffer"
	"broach/internal/wire"
)

const (
	// streamRoom is what waits at a reader at most, [STR-3]; shortRoom while memory is short.
	streamRoom = 256 << 10
	shortRoom  = 16 << 10

	// chunkCost is what a chunk that waits for others takes besides its bytes.
	chunkCost = 64
)

// A Sink is where the bytes of a stream go. Its methods do not wait.
type Sink interface {
	Put(chunk []byte) // copies
	Free() int        // bytes for which there is room
}

// A Receiving is a stream that comes, [STR-2] and [STR-3].
//
//	at + len of the chunk base = at of the next; welcome never falls
//	held = what it has of the budget: bytes apart, and in the sink
type Receiving struct {
	Transfer uint32 // its newest number; 0: that is not known yet
	IsWhole  bool   // the last chunk was taken
	IsDue    bool   // an acknowledgement is; whoever sends it says that it is not
	IsListed bool   // its link's: it is among those of which one may be
	sink     Sink
	memory   *buffer.Share

	base    uint32 // chunks below it were taken
	high    uint32 // none from it on has come
	newest  uint32 // number of the newest datagram that brought one, the low 32 bits
	at      uint64 // where in the stream the chunk base begins
	put     uint64 // bytes that were put: more than at while a transfer begun anew repeats some
	welcome uint64 // bytes below it are, as was said
	arrived fragmentSet
	apart   []apartChunk // those between base and high, by index
	size    int          // bytes in them
	held    int64
}

// An apartChunk waits for others before it.
type apartChunk struct {
	index uint32
	last  bool
	data  []byte
}

// Receive begins to receive a stream; id is 0 where the first chunk says it.
func (in *In) Receive(id uint32, s Sink) *Receiving {
	return &Receiving{Transfer: id, sink: s, memory: &in.Held}
}

// Welcome is up to where in the stream bytes are welcome now, in KiB, as an acknowledgement or a Request says it.
func (r *Receiving) Welcome() uint32 {
	r.welcome = max(r.welcome, r.reach())
	return uint32(r.welcome >> 10)
}

// HasNews reports whether so much more is welcome than was said that the sender is to hear of it without a chunk.
func (r *Receiving) HasNews() bool { return !r.IsWhole && r.reach() >= r.welcome+uint64(r.most())/4 }

// reach is up to where bytes are welcome, in whole KiB.
func (r *Receiving) reach() uint64 {
	return (r.put + uint64(min(r.sink.Free(), r.most()))) &^ 1023
}

// most is how much may wait.
func (r *Receiving) most() int {
	if r.isShort() {
		return shortRoom
	}
	return streamRoom
}

// isShort says that a quarter of the memory for what waits is taken, half of what one link may have where others have
// none, or half of what this one ever may.
func (r *Receiving) isShort() bool {
	of := r.memory.Of
	return of.Used() > of.Size/4 || r.memory.Used() > r.memory.Most/2
}

// Chunk takes a chunk, which came in a datagram with that number. It is false for one that is not welcome: Stop is to
// be sent.
func (r *Receiving) Chunk(number uint32, c wire.Chunk) bool {
	if c.Transfer != r.Transfer && !r.begin(c) {
		return int32(c.Transfer-r.Transfer) < 0
	}
	r.IsDue = true
	if r.newest == 0 || int32(number-r.newest) > 0 {
		r.newest = number
	}
	switch {
	case len(c.Data) == 0 && !c.Last, c.Index < r.base, c.Index < r.high && r.arrived.has(c.Index):
		return true // it asks, or has come before
	case r.IsWhole || !r.isWelcome(c):
		return false
	case c.Index == r.base:
		r.takeBase(c)
		return true
	}
	r.setApart(c)
	return true
}

// begin takes up a transfer that the stream goes on with, and reports whether it does.
func (r *Receiving) begin(c wire.Chunk) bool {
	if r.Transfer != 0 && (int32(c.Transfer-r.Transfer) < 0 || !c.GoesOn) || c.From > r.at {
		return false
	}
	r.dropApart()
	r.Transfer, r.base, r.high, r.at, r.arrived = c.Transfer, 0, 0, c.From, fragmentSet{}
	r.newest = 0
	return true
}

// isWelcome says whether a chunk lies within what the sender was told. Where it begins is known of the chunk base only:
// of the others all that lies before must fit.
func (r *Receiving) isWelcome(c wire.Chunk) bool {
	if c.Index-r.base >= fragmentSpan {
		return false
	}
	before := 0
	if c.Index != r.base {
		before = r.size
	}
	return r.at+uint64(before+len(c.Data)) <= r.welcome
}

// takeBase takes the chunk base, and those that have waited for it. Where memory is short it is dropped as if it had
// been lost, unless nothing of the stream waits: so each goes on.
func (r *Receiving) takeBase(c wire.Chunk) {
	if !r.reserve(len(c.Data)) && r.sink.Free() < streamRoom {
		return
	}
	r.take(c.Last, c.Data)
	for len(r.apart) > 0 && r.apart[0].index == r.base && !r.IsWhole {
		a := r.apart[0]
		r.apart = slices.Delete(r.apart, 0, 1)
		r.size -= len(a.data)
		r.take(a.last, a.data)
		buffer.Recycle(a.data)
	}
	r.Settle()
}

// take puts the bytes of the chunk base, but for those that were put before.
func (r *Receiving) take(last bool, data []byte) {
	again := min(r.put-r.at, uint64(len(data)))
	if fresh := data[again:]; len(fresh) > 0 {
		r.sink.Put(fresh)
		r.put += uint64(len(fresh))
	}
	r.at += uint64(len(data))
	r.arrived.remove(r.base)
	r.base++
	r.high = max(r.high, r.base)
	r.IsWhole = last
}

// setApart keeps a chunk that others before it are missing for; without memory it is dropped.
func (r *Receiving) setApart(c wire.Chunk) {
	if !r.reserve(len(c.Data) + chunkCost) {
		return
	}
	data := append(buffer.Bytes(int64(len(c.Data)))[:0], c.Data...)
	i := sort.Search(len(r.apart), func(i int) bool { return r.apart[i].index > c.Index })
	r.apart = slices.Insert(r.apart, i, apartChunk{c.Index, c.Last, data})
	r.size += len(data)
	r.arrived.add(c.Index)
	r.high = max(r.high, c.Index+1)
}

// reserve takes memory of the budget.
func (r *Receiving) reserve(n int) bool {
	if !r.memory.Take(int64(n)) {
		return false
	}
	r.held += int64(n)
	return true
}

// Settle gives back what the reader has taken.
func (r *Receiving) Settle() {
	waits := int64(r.size + len(r.apart)*chunkCost + max(streamRoom-r.sink.Free(), 0))
	if r.held > waits {
		r.memory.Give(r.held - waits)
		r.held = waits
	}
}

// Close gives all memory back: nothing more is taken.
func (r *Receiving) Close() {
	r.dropApart()
	r.memory.Give(r.held)
	r.held, r.IsWhole = 0, true
}

func (r *Receiving) dropApart() {
	for _, a := range r.apart {
		buffer.Recycle(a.data)
	}
	r.apart, r.size = nil, 0
	r.Settle()
}

// Ack is the acknowledgement of what has come. The bitmap is appended to b.
func (r *Receiving) Ack(b []byte) wire.FragmentAck {
	for index := r.base + 1; index < r.high; index += 8 {
		b = append(b, byte(r.arrived.from(index)))
	}
	return wire.FragmentAck{Transfer: r.Transfer, Base: r.base, Limit: r.Welcome(), Newest: r.newest, Bitmap: b}
}
