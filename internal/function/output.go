package function

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"broach/internal/codec"
	"broach/internal/stream"
	"broach/internal/wire"
)

// bufferKept is how large the memory for an item is at most that is used for the next.
const bufferKept = 1 << 20

// errAtOnce is how a stream ends that is yielded to by several goroutines: items would run into each other.
var errAtOnce = errors.New("yield was called by two goroutines at once, or still ran when the sequence returned; " +
	"it takes one item after the other")

// An Output writes the items of one stream to a Pipe, one after the other. A user may call yield at any time from any
// goroutine: whoever does so while another is in it ends the stream.
type Output struct {
	to   *stream.Pipe
	done <-chan struct{} // closed when the call is over
	most int             // bytes of an item

	isYielding atomic.Bool // from begin to finish, in which all below is the yield's
	e          *codec.Encoder
	buf        []byte // used again; begins with room for the length of an item
	n          int    // items that were begun

	ended atomic.Bool
	mu    sync.Mutex // protects end: who yields and Close may be two
	end   OutputEnd
}

// An OutputEnd is why a stream ended before its sequence did; the zero value: it did not.
type OutputEnd struct {
	Yielded error // an error that the sequence yielded
	Unsent  error // an item that cannot be sent; it says which
	Unread  error // nobody reads any more, or the call is over: stream.ErrOver
}

// NewOutput makes one. Close comes last.
func NewOutput(to *stream.Pipe, done <-chan struct{}, most int) *Output {
	return &Output{to: to, done: done, most: most, e: codec.NewItems()}
}

// Close says how the stream ended. What is yielded after it is dropped.
func (o *Output) Close() OutputEnd {
	if o.isYielding.Swap(true) {
		o.fail(OutputEnd{Unsent: errAtOnce}) // and its Encoder is not given to others
	} else {
		o.e.Finish()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended.Store(true)
	return o.end
}

// begin is the first half of a yield: it reports whether an item may be written now. An error ends the stream.
func (o *Output) begin(yielded error) bool {
	switch {
	case o.ended.Load():
		return false
	case yielded != nil:
		return o.fail(OutputEnd{Yielded: yielded})
	case o.isOver():
		return o.fail(OutputEnd{Unread: stream.ErrOver})
	case o.isYielding.Swap(true):
		return o.fail(OutputEnd{Unsent: errAtOnce})
	}
	o.n++
	if len(o.buf) == 0 {
		o.buf = make([]byte, stream.ItemHead, 64)
	}
	o.e.Begin(o.buf[:stream.ItemHead], o.most)
	return true
}

// isOver reports whether the call is over: who yields hears of it at once, though there may be room.
func (o *Output) isOver() bool {
	select {
	case <-o.done:
		return true
	default:
		return false
	}
}

// finish is the second half, after the item was encoded. It reports whether the sequence is to go on.
func (o *Output) finish(unsent error) bool {
	defer o.isYielding.Store(false)
	b := o.e.Written()
	switch size := len(b) - stream.ItemHead; {
	case unsent == nil && size > o.most, errors.Is(unsent, codec.ErrSize):
		what := fmt.Sprintf("bytes of item %d", o.n)
		return o.fail(OutputEnd{Unsent: codec.TooLarge(wire.ExecutedYes, what, o.most)})
	case unsent != nil:
		return o.fail(OutputEnd{Unsent: fmt.Errorf("item %d: %w", o.n, unsent)})
	}
	if o.buf = b; cap(b) > bufferKept {
		o.buf = nil
	}
	if err := o.to.Write(stream.Framed(b), o.done); err != nil {
		return o.fail(OutputEnd{Unread: err})
	}
	return true
}

// fail ends the stream.
func (o *Output) fail(end OutputEnd) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.ended.Swap(true) {
		o.end = end
	}
	return false
}
