package transfer

import (
	"bytes"
	"math/bits"
	"slices"
	"sort"
	"time"

	"broach/internal/buffer"
)

// An incoming is a message of which fragments have arrived.
//
//	base <= high <= count
//	cap(body) + bytes in apart <= max(2 * bytes that arrived, memory.AtOnce)   [FRAG-2]
type incoming struct {
	cut
	id    uint32
	since time.Time // when its first fragment came
	newAt time.Time // when its newest came
	due   bool      // an acknowledgement is due

	newest uint32 // number of the newest datagram that brought one, the low 32 bits

	base    uint32      // all fragments below it have arrived
	high    uint32      // none from it on
	arrived fragmentSet // those between base and high

	memory *buffer.Budget
	body   []byte
	placed int64           // bytes that arrived and are in body
	apart  []apartFragment // the others, by index
}

// An apartFragment waits until body may reach as far as it.
type apartFragment struct {
	index uint32
	data  []byte
}

func (t *incoming) limit() uint32    { return t.base + fragmentSpan }
func (t *incoming) isComplete() bool { return t.base == t.count }

// add takes a fragment whose data has the right length. It returns false for one that is beyond the limit or came
// before.
func (t *incoming) add(index uint32, data []byte) bool {
	if index < t.base || index >= t.limit() || t.arrived.has(index) {
		return false
	}
	if !t.place(index, data) {
		t.setApart(index, bytes.Clone(data))
	}
	t.placeApart()
	t.high = max(t.high, index+1)
	for t.arrived.add(index); t.arrived.has(t.base); t.base++ {
		t.arrived.remove(t.base)
	}
	return true
}

// place copies data into body, if body may reach so far. The fragment base always may: no more bytes lie before it than
// have been placed.
func (t *incoming) place(index uint32, data []byte) bool {
	from, to := t.bounds(index)
	if to > int64(len(t.body)) && !t.grow(to, t.placed+int64(len(data))) {
		return false
	}
	t.placed += int64(copy(t.body[from:to], data))
	return true
}

// grow makes room for the bytes before to, unless body would be larger than [FRAG-2] has it. Beyond memory.AtOnce its
// sizes are powers of two, up to the total: all growing together copies each byte about once.
func (t *incoming) grow(to, placed int64) bool {
	size := buffer.Size(int64(t.total))
	for size > max(2*placed, t.memory.AtOnce) {
		size = 1 << (bits.Len64(uint64(size-1)) - 1) // the power of two below
	}
	if size < to {
		return false
	}
	body := buffer.Bytes(min(size, int64(t.total)))
	copy(body, t.body)
	buffer.Recycle(t.body)
	t.body = body
	return true
}

// placeApart places what it can: by index, because one that has no place has none behind it.
func (t *incoming) placeApart() {
	n := 0
	for n < len(t.apart) && t.place(t.apart[n].index, t.apart[n].data) {
		n++
	}
	t.apart = slices.Delete(t.apart, 0, n)
}

func (t *incoming) setApart(index uint32, data []byte) {
	i := sort.Search(len(t.apart), func(i int) bool { return t.apart[i].index > index })
	t.apart = slices.Insert(t.apart, i, apartFragment{index, data})
}

// bitmap appends which fragments beyond base have arrived, as FragmentAck has them.
func (t *incoming) bitmap(b []byte) []byte {
	for index := t.base + 1; index < t.high; index += 8 {
		b = append(b, byte(t.arrived.from(index)))
	}
	return b
}
