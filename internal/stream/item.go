package stream

import (
	"encoding/binary"
	"io"
)

// Items are one after the other in the bytes of a stream, each a length (varint) and so many bytes. Where the bytes are
// cut on their way says nothing.

// ItemHead is how many bytes stand free before an item that is to be Framed.
const ItemHead = binary.MaxVarintLen32

// Malformed is the error of bytes that are no items.
type Malformed string

func (e Malformed) Error() string { return string(e) }

// ErrWhole is also how a stream ends whose writer has failed within an item.
const (
	ErrWhole Malformed = "the stream ends within an item"
	errItem  Malformed = "the length of an item is malformed"
	errLarge Malformed = "an item has more bytes than are allowed"
)

// Framed puts its length before an item, which begins ItemHead bytes after the beginning of b, and returns both.
func Framed(b []byte) []byte {
	var length [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(length[:], uint64(len(b)-ItemHead))
	copy(b[ItemHead-n:], length[:n])
	return b[ItemHead-n:]
}

// Items reads the items of a Pipe, Most bytes each at most.
type Items struct {
	Pipe *Pipe
	Most int
	// Watch is told before and after the Pipe is asked for more, which may wait; nil: nobody is
	Watch func(begins bool)

	b    []byte // what Next of the Pipe returned last and was not read
	part []byte // of an item that has not all come, with its length; used again
	held int    // bytes of a large one, that the transport knows of
}

// Next returns one item, to be kept until Next is called again. Its errors are those of the Pipe's Next, among them
// io.EOF after the last item, those of a stream that is malformed, and ErrRoom.
func (r *Items) Next(done <-chan struct{}) ([]byte, error) {
	r.letGo()
	if item, rest, err := r.cut(r.b); err != nil || item != nil {
		r.b = rest
		return item, err
	}
	r.part = append(reusable(r.part), r.b...)
	return r.collect(done)
}

// reusable is memory to collect an item in that was used for another: not that of a large one, which may be the only.
func reusable(b []byte) []byte {
	if cap(b) > Room {
		return nil
	}
	return b[:0]
}

// collect waits until an item has come of which the rest is missing.
func (r *Items) collect(done <-chan struct{}) ([]byte, error) {
	for {
		b, err := r.more(done)
		switch {
		case err == io.EOF && len(r.part) > 0:
			return nil, ErrWhole
		case err != nil:
			return nil, err
		case len(r.part) == 0:
			r.b = b
			return r.Next(done)
		}
		had := len(r.part)
		r.part = append(r.part, b...)
		if !r.mayCollect() {
			return nil, ErrRoom
		}
		if item, rest, err := r.cut(r.part); err != nil || item != nil {
			r.b = b[len(r.part)-len(rest)-had:]
			return item, err
		}
	}
}

// mayCollect reports whether there is room for an item that has begun.
func (r *Items) mayCollect() bool {
	size, n := binary.Uvarint(r.part)
	if n <= 0 || size <= Room || size > uint64(r.Most) || r.held > 0 {
		return true
	}
	if !r.Pipe.Hold(int(size)) {
		return false
	}
	r.held = int(size)
	return true
}

// letGo gives up a large item that was read.
func (r *Items) letGo() {
	if r.held > 0 {
		r.Pipe.Hold(-r.held)
		r.held, r.part = 0, nil
	}
}

// more asks the Pipe.
func (r *Items) more(done <-chan struct{}) ([]byte, error) {
	if r.Watch != nil {
		r.Watch(true)
		defer r.Watch(false)
	}
	return r.Pipe.Next(done)
}

// cut splits the item that b begins with from the rest. It is nil where not all of it is there. An empty item is none,
// as a value takes a byte at least.
func (r *Items) cut(b []byte) (item, rest []byte, _ error) {
	size, n := binary.Uvarint(b)
	switch {
	case n == 0:
		return nil, b, nil
	case n < 0 || size == 0:
		return nil, nil, errItem
	case size > uint64(r.Most):
		return nil, nil, errLarge
	case size > uint64(len(b)-n):
		return nil, b, nil
	}
	end := n + int(size)
	return b[n:end:end], b[end:], nil
}
