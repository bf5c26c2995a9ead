package broach

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

const (
	smallestBuffer = 4 << 10 // below it, a new one costs less than looking for an old one
	bufferClasses  = 4*(32-12) + 1
)

// A memory is what all links together may reserve for unfinished large messages, and the buffers that finished ones leave
// behind. It is safe for concurrent use: each link takes and gives under its own mutex, so nobody owns it, and neither a
// counter nor a sync.Pool makes one link wait for another.
//
// Buffers are used again because fresh memory is slow: the system hands it out page by page, which costs several times
// what it costs to copy a message into it. A buffer is up to a quarter larger than was asked for.
type memory struct {
	size   int64 // bytes that may be taken
	used   atomic.Int64
	atOnce int64 // bytes set aside for a message at its first fragment, if it is so large

	buffers [bufferClasses]sync.Pool // of *[]byte
}

// take reserves n bytes. It returns false, and takes nothing, when fewer are left.
func (m *memory) take(n int64) bool {
	if m.used.Add(n) <= m.size {
		return true
	}
	m.used.Add(-n)
	return false
}

// give returns what was taken.
func (m *memory) give(n int64) { m.used.Add(-n) }

// buffer returns n bytes, which hold anything.
func (m *memory) buffer(n int64) []byte {
	if n < smallestBuffer {
		return make([]byte, n)
	}
	class, size := bufferClass(n)
	if b, ok := m.buffers[class].Get().(*[]byte); ok {
		return (*b)[:n]
	}
	return make([]byte, n, size)
}

// recycle takes a buffer, or a message, that nobody uses any more.
func (m *memory) recycle(b []byte) {
	if cap(b) < smallestBuffer {
		return
	}
	if class, size := bufferClass(int64(cap(b))); size == int64(cap(b)) {
		m.buffers[class].Put(&b)
	}
}

// bufferClass returns the class of the buffers for n bytes and their size: n rounded up to a quarter of a power of two.
func bufferClass(n int64) (class int, size int64) {
	shift := bits.Len64(uint64(n-1)) - 3
	quarters := (n-1)>>shift + 1 // 5 to 8
	return 4*(shift-10) + int(quarters) - 4, quarters << shift
}

// bufferSize returns how many bytes a buffer of n bytes takes up.
func bufferSize(n int64) int64 {
	if n < smallestBuffer {
		return n
	}
	_, size := bufferClass(n)
	return size
}
