// Package buffer keeps byte slices for reuse, and counts how many bytes others may make a node hold.
//
// Reuse has two kinds. A Buffer is a small message on its way, with one owner who releases it. Bytes, Small and Recycle
// are for what lies about as a plain slice: its sizes come in classes, and what a process that has become idle still
// keeps of the largest goes back to the system (idle.go). Nothing here clears what it gives out: who asks for bytes
// writes them before they are read. Under the race detector all that is given back is overwritten, so that a test sees
// who reads it yet (poison.go).
//
// A Budget is a limit that all links of a node share, and a Share what one link has of it. A link may take as much as
// it leaves free for the others, so that no single peer, however greedy, and no number of them keeps small messages out
// (budget.go).
//
// The package knows no link, no node and no message. It logs nothing. Buffers have one owner; everything else is safe
// for concurrent use but where its comment says otherwise.
//
//	buffer.go  Buffer, and large byte slices
//	budget.go  Budget and Share
//	idle.go    when memory goes back to the system
//	loan.go    memory that is lent until it is given back
//	poison.go  what is given back, in tests
package buffer

import (
	"math/bits"
	"slices"
	"sync"
	"unsafe"
)

// MostKept is the largest byte slice that a buffer keeps for reuse: most messages are small, and it would stay large
// for ever.
const MostKept = 64 << 10

// Buffer is a byte slice with one owner, who releases it once and does not look at it afterwards.
type Buffer struct {
	B    []byte
	Tail []byte // somebody else's, or a part of B, for who uses the two together; it goes with the release
}

var buffers = sync.Pool{New: func() any { return &Buffer{B: make([]byte, 0, 512)} }}

// New returns an empty buffer.
func New() *Buffer { return buffers.Get().(*Buffer) }

// Copy returns a buffer with a copy of b.
func Copy(b []byte) *Buffer {
	v := New()
	v.B = append(v.B, b...)
	return v
}

// Release gives the buffer up. A nil buffer is fine.
func (v *Buffer) Release() {
	if v == nil {
		return
	}
	v.Tail = nil
	if cap(v.B) > MostKept {
		Recycle(v.B)
		v.B = nil
		return
	}
	Poison(v.B)
	v.B = v.B[:0]
	buffers.Put(v)
}

// SmallSize is room for a reply with a few numbers or words, the commonest of all messages that are kept.
const SmallSize = 64

var smalls = sync.Pool{New: func() any { return new([SmallSize]byte) }} // an interface holds a pointer as it is

// Small returns an empty slice with room for SmallSize bytes.
func Small() []byte { return smalls.Get().(*[SmallSize]byte)[:0] }

// All but the smallest messages are kept in byte slices of certain sizes, which are used again: fresh memory is slow,
// since the system hands it out page by page, and a collection of garbage for every few messages costs as much as
// sending them. The pools give up what is not used between two collections, see idle.go.
const (
	smallestLarge = 256 // below it, a new slice costs less than looking for an old one
	largeClasses  = 4*(32-8) + 1
)

// larges has the slices of each class, by their first bytes: a slice as such would be allocated to be kept.
var larges [largeClasses]sync.Pool // of *byte

// Bytes returns n bytes, which hold anything. Behind them are up to a quarter more.
func Bytes(n int64) []byte {
	if n < smallestLarge {
		return make([]byte, n)
	}
	class, size := largeClass(n)
	if size >= bulkLeast {
		bulk.uses.Add(1)
	}
	if first, ok := larges[class].Get().(*byte); ok {
		if size >= bulkLeast {
			bulk.spare.Add(-size)
		}
		return unsafe.Slice(first, size)[:n]
	}
	return make([]byte, n, size)
}

// Recycle takes bytes from Bytes or Small, or any others, that nobody uses any more.
func Recycle(b []byte) {
	Poison(b)
	if cap(b) == SmallSize {
		smalls.Put((*[SmallSize]byte)(b[:SmallSize]))
	}
	if cap(b) < smallestLarge {
		return
	}
	if class, size := largeClass(int64(cap(b))); size == int64(cap(b)) {
		if size >= bulkLeast {
			bulk.uses.Add(1)
			bulk.spare.Add(size)
		}
		larges[class].Put(unsafe.SliceData(b))
	}
}

// largeClass returns the class of slices for n bytes and their size: n rounded up to a quarter of a power of two.
func largeClass(n int64) (class int, size int64) {
	shift := bits.Len64(uint64(n-1)) - 3
	quarters := (n-1)>>shift + 1 // 5 to 8
	return 4*(shift-6) + int(quarters) - 4, quarters << shift
}

// Size returns how many bytes the slice of Bytes takes up.
func Size(n int64) int64 {
	if n < smallestLarge {
		return n
	}
	_, size := largeClass(n)
	return size
}

// Grow returns b with room for n bytes more. What b was is garbage then: others may refer to it.
func Grow(b []byte, n int) []byte {
	if need := len(b) + n; need > smallestLarge {
		return append(Bytes(int64(max(need, 2*len(b))))[:0], b...)
	}
	return slices.Grow(b, n)
}
