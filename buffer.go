package broach

import "sync"

// maxPooled is the largest buffer that is kept for reuse: larger ones are rare, and would stay large in the pool for ever.
const maxPooled = 64 << 10

// buffer is a byte slice with one owner, who releases it once.
type buffer struct{ b []byte }

var buffers = sync.Pool{New: func() any { return &buffer{b: make([]byte, 0, 512)} }}

// newBuffer returns an empty buffer.
func newBuffer() *buffer { return buffers.Get().(*buffer) }

// copyBuffer returns a buffer with a copy of b.
func copyBuffer(b []byte) *buffer {
	v := newBuffer()
	v.b = append(v.b, b...)
	return v
}

// release gives the buffer up. A nil buffer is fine.
func (v *buffer) release() {
	if v == nil {
		return
	}
	if cap(v.b) > maxPooled {
		v.b = nil
		return
	}
	v.b = v.b[:0]
	buffers.Put(v)
}
