package link

import (
	"context"
	"sync/atomic"
	"time"

	"broach/internal/buffer"
	"broach/internal/wire"
)

// A Request is what a link knows of a call to one of our functions, from when it comes until it is answered.
type Request struct {
	Args     *buffer.Buffer
	Deadline time.Time // zero: none
	Body     []byte    // of the transfer that it came as; nil if it came in a datagram
	Cancel   atomic.Pointer[context.CancelFunc]
	Seq      uint32
	Slot     uint16
	OneWay   bool        // nobody waits for the outcome: it is answered when it is accepted
	Gone     atomic.Bool // the caller does not wait any more
}

// take makes it the request of a message. Its arguments are copied, unless body is the transfer that they are part of.
func (r *Request) take(now time.Time, m wire.Request, oneWay bool, body []byte) {
	r.Slot, r.Seq, r.OneWay, r.Body = m.Slot, m.Seq, oneWay, body
	if body == nil {
		r.Args = buffer.Copy(m.Args)
	} else {
		r.Args = &buffer.Buffer{B: m.Args}
	}
	if m.Remaining > 0 && !oneWay {
		r.Deadline = now.Add(time.Duration(m.Remaining) * time.Millisecond)
	}
}

// GiveUp ends the request's context, or keeps it from running if it has not begun. Whoever took the request out of its
// slot calls it, at any time: it may be over by then. A one-way request cannot be given up: it may have been accepted
// meanwhile, [CALL-16].
func (r *Request) GiveUp() {
	if r.OneWay {
		return
	}
	r.Gone.Store(true)
	if cancel := r.Cancel.Load(); cancel != nil {
		(*cancel)()
	}
}

// giveUp ends the contexts of requests.
func giveUp(running []*Request) {
	for _, r := range running {
		r.GiveUp()
	}
}
