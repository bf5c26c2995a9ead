package broach

import (
	"context"
	"sync/atomic"
	"time"

	"broach/internal/buffer"
	"broach/internal/wire"
)

// A linkRequest is what a link knows of a call to one of our functions, from when it comes until it is answered.
type linkRequest struct {
	args     *buffer.Buffer
	deadline time.Time // zero: none
	body     []byte    // of the transfer that it came as; nil if it came in a datagram
	cancel   atomic.Pointer[context.CancelFunc]
	seq      uint32
	slot     uint16
	oneWay   bool        // nobody waits for the outcome: it is answered when it is accepted
	gone     atomic.Bool // the caller does not wait any more
}

// take makes it the request of a message. Its arguments are copied, unless body is the transfer that they are part of.
func (r *linkRequest) take(now time.Time, m wire.Request, oneWay bool, body []byte) {
	r.slot, r.seq, r.oneWay, r.body = m.Slot, m.Seq, oneWay, body
	if body == nil {
		r.args = buffer.Copy(m.Args)
	} else {
		r.args = &buffer.Buffer{B: m.Args}
	}
	if m.Remaining > 0 && !oneWay {
		r.deadline = now.Add(time.Duration(m.Remaining) * time.Millisecond)
	}
}

// giveUp ends the request's context, or keeps it from running if it has not begun. Whoever took the request out of its slot calls it, at any time: it
// may be over by then. A one-way request cannot be given up: it may have been accepted meanwhile, [CALL-16].
func (r *linkRequest) giveUp() {
	if r.oneWay {
		return
	}
	r.gone.Store(true)
	if cancel := r.cancel.Load(); cancel != nil {
		(*cancel)()
	}
}
