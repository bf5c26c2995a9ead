package link

import (
	"sync/atomic"
	"time"

	"broach/internal/buffer"
	"broach/internal/deadline"
	"broach/internal/stream"
	"broach/internal/wire"
)

// A Request is what a link knows of a call to one of our functions, from when it comes until it is answered.
type Request struct {
	Args     *buffer.Buffer                   // with what the reply ends with, if that is a part of them
	Deadline time.Time                        // zero: none
	whole    []byte                           // the transfer that it came as, see CameAsTransfer
	Context  atomic.Pointer[deadline.Context] // of the function, if it asks for one
	Seq      uint32
	Slot     uint16
	Way      Way
	Streams  *stream.Pair // nil: it does not stream
	Gone     absence      // the caller does not wait any more
	isLeft   bool         // see LeaveArgs

	// shared says that somebody has taken it up besides who runs it, and may give it up even when it has been answered:
	// so its memory must not be used for another. It is protected by the link's mutex.
	shared bool
}

// absence says whether a caller is gone, and why. The zero absence is that of one which waits.
type absence struct{ why atomic.Uint32 }

// Why a caller is gone.
const (
	gaveUp = 1 + iota // it said so, by Cancel, another call or the end of the link
	lost              // it cannot be reached: it may come back, and ask for the outcome
)

// Load reports that it is.
func (a *absence) Load() bool { return a.why.Load() != 0 }

// IsLost reports that it is, and has not given up.
func (a *absence) IsLost() bool { return a.why.Load() == lost }

// Way says whether the caller of a Request waits for the outcome.
type Way uint8

const (
	TwoWay Way = iota // it does
	OneWay            // nobody does: the call is answered when it is accepted
)

// readFrom makes it the request of a message. Its arguments are copied, unless body is the transfer that they are part
// of.
func (r *Request) readFrom(now time.Time, m wire.Request, way Way, body []byte) {
	r.Slot, r.Seq, r.Way, r.whole = m.Slot, m.Seq, way, body
	if r.CameAsTransfer() {
		r.Args = &buffer.Buffer{B: m.Args}
	} else {
		r.Args = buffer.Copy(m.Args)
	}
	if m.Remaining > 0 && m.Remaining < unending && way == TwoWay {
		r.Deadline = now.Add(time.Duration(m.Remaining) * time.Millisecond)
	}
}

// unending is a remaining time that is none: of a call without a deadline, or with one that is farther off than can be
// said.
const unending = 1<<32 - 1

// CameAsTransfer reports that it came in fragments, not in a datagram: it is not sent again, and the link holds its
// arguments until it has the answer, or gets them back.
func (r *Request) CameAsTransfer() bool { return r.whole != nil }

// ReleaseArgs gives up the arguments, unless the link holds them.
func (r *Request) ReleaseArgs() {
	if !r.CameAsTransfer() {
		r.Args.Release()
	}
}

// LeaveArgs leaves the memory of the arguments to the collector: somebody may read them yet. It comes before the
// answer.
func (r *Request) LeaveArgs() {
	r.isLeft = true
	if !r.CameAsTransfer() {
		r.Args = nil
	}
}

// isLent reports that its reply ends with a part of its arguments.
func (r *Request) isLent() bool { return r.CameAsTransfer() && r.Args.Tail != nil }

// sizeLent is the memory that such a reply takes up besides; 0 of another.
func (r *Request) sizeLent() int64 {
	if r.isLent() {
		return sizeOf(r.whole)
	}
	return 0
}

// GiveUp ends the request's context, or keeps it from running if it has not begun. Whoever took the request out of its
// slot calls it, at any time: it may be over by then. A one-way request cannot be given up: it may have been accepted
// meanwhile, [CALL-16].
func (r *Request) GiveUp() { r.end(gaveUp) }

// end is GiveUp for either reason. The first counts.
func (r *Request) end(why uint32) {
	if r.Way == OneWay {
		return
	}
	r.Gone.why.CompareAndSwap(0, why)
	if ctx := r.Context.Load(); ctx != nil {
		ctx.End()
	}
}

// lose gives up requests whose caller cannot be reached.
func lose(running []*Request) {
	for _, r := range running {
		r.end(lost)
	}
}

// giveUp ends the contexts of requests.
func giveUp(running []*Request) {
	for _, r := range running {
		r.GiveUp()
	}
}
