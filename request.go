package broach

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"broach/internal/buffer"
	"broach/internal/codec"
	"broach/internal/link"
	"broach/internal/pool"
	"broach/internal/stream"
	"broach/internal/wire"
)

// request is one call to one of our functions, from a peer or from this node: the pool's job.
type request struct {
	link.Request // of a local call, which is no link's, its arguments and deadline alone

	provider *provider
	function *service // see isUnknown
	origin   origin
	meta     map[string]string // not written to
	ctx      requestContext    // of the function, if it asks for one; in place: that is one allocation less
	stage    stage             // set before a worker has it
	isEvent  bool              // for one subscription
	isAlone  bool              // it was answered, and nobody has it any more but who runs it
	isServed bool              // it is counted as one that runs
	began    atomic.Bool       // the Interceptors of the function, if it has any, have let it run
	came     time.Duration     // by the clock of the provider
	ended    time.Duration     // likewise
	trace    *serveTrace       // nil: no Span is told of it
}

// requests are those that have ended, to be used again: a call leaves no garbage at its provider.
var requests = sync.Pool{New: func() any { return new(request) }}

// free gives the request up when it has run and been answered, unless somebody may still hold it: its link, to give it
// up for a caller who does not wait any more, or the function and its Interceptors, by a context that they have kept.
// One that has not come to that is garbage: whose function has panicked, a one-way call, one of this process.
func (r *request) free() {
	if r.isAlone && !r.ctx.isMade() {
		*r = request{}
		requests.Put(r)
	}
}

// stage says who is still to hear how a request ends.
type stage uint8

const (
	awaited  stage = iota // its caller: it gets an answer
	accepted              // nobody: a one-way call that was taken and answered; it counts as one that runs
)

// origin is who has made a request: fromPeer or fromHere. Either is one pointer, which an interface holds without
// allocation.
type origin interface {
	from(p *provider) netip.AddrPort              // the address of the caller
	stopped() Code                                // how a call ends that the closing of this node has stopped
	frame(r *link.Request, o link.Outcome) []byte // begins what answer sends
	// answer ends the call; the body is what frame began. It reports whether nobody has the request any more
	answer(now time.Time, r *link.Request, o link.Outcome) (alone bool)
}

// fromPeer is the origin of a call that came on a link.
type fromPeer struct{ link *link.Link }

func (c fromPeer) from(*provider) netip.AddrPort { return c.link.ID.Addr }

// stopped is that the provider is just not there any more.
func (c fromPeer) stopped() Code { return Unreachable }

func (c fromPeer) frame(r *link.Request, o link.Outcome) []byte {
	m := wire.Reply{Slot: r.Slot, Seq: r.Seq, Code: o.Code, Executed: o.Executed, Forwarded: o.Forwarded,
		Causes: o.Causes, Body: o.Body}
	return m.Append(buffer.Small())
}

func (c fromPeer) answer(now time.Time, r *link.Request, o link.Outcome) bool {
	return c.link.Answer(now, r, wire.SetLength(o.Body))
}

// fromHere is the origin of a call by this node.
type fromHere struct{ call *link.Call }

func (c fromHere) from(p *provider) netip.AddrPort { return p.addr() }
func (c fromHere) stopped() Code                   { return Closed }

// frame begins with nothing: no envelope is needed.
func (c fromHere) frame(_ *link.Request, o link.Outcome) []byte { return o.Body }

// answer leaves the request to its caller, who may be about to give it up.
func (c fromHere) answer(_ time.Time, _ *link.Request, o link.Outcome) bool {
	c.call.EndOwned(o)
	return false
}

// isUnknown reports that there is no function of the name asked for.
func (r *request) isUnknown() bool { return r.function == nil }

// link is that on which the request of a peer came. All requests of the reader are such.
func (r *request) link() *link.Link { return r.origin.(fromPeer).link }

// Run calls the function and answers. It is the only way into user code. The request is not used after it.
func (r *request) Run(now time.Time) (ended time.Time) {
	if r.stage == awaited && !r.function.enter() {
		r.answerCode(Overloaded, No, textMost)
		return ended
	}
	r.serve(now)
	ended = r.endedAt()
	r.free()
	return ended
}

// serve calls the function and answers.
func (r *request) serve(now time.Time) {
	defer r.function.leave()
	r.beginCount(now)
	ctx := r.context()
	defer r.endContext()
	ctx = r.startTrace(ctx, now)
	head := r.frame(link.Outcome{Executed: wire.ExecutedYes})
	frame, err := r.invoke(ctx, head)
	if err != nil || cap(frame) != cap(head) {
		buffer.Recycle(head) // the answer has outgrown it, or is another: what encoded into it has ended
	}
	switch size := len(frame) - len(head) + len(r.Args.Tail); {
	case err != nil:
		r.answerError(r.unlessLost(err))
	case size > r.provider.maxMessage:
		r.Args.Tail = nil
		r.answerError(ownError(codec.TooLarge(wire.ExecutedYes, "results", r.provider.maxMessage)))
	default:
		r.endTrace(nil, 0)
		r.answer(link.Outcome{Executed: wire.ExecutedYes, Body: frame})
	}
}

// invoke runs the function, and now and then sees how long that takes.
func (r *request) invoke(ctx context.Context, head []byte) ([]byte, *Error) {
	if r.Seq%costSample == 0 {
		defer r.function.cost.noteSince(time.Now())
	}
	if r.function.Streams() {
		return r.invokeStreaming(ctx, head)
	}
	b, tail, failed := r.function.InvokeLent(ctx, r.Args.B, head, r.Streams, r.mayLeaveArgs())
	if tail != nil {
		r.Args.Tail = tail
	}
	err := ownError(failed)
	if err != nil && len(r.function.interceptors) > 0 && !r.began.Load() {
		err.Executed = No
	}
	return b, err
}

// streamsHere gives the request of a call by this node what it streams.
func (r *request) streamsHere(s *streams) {
	r.Streams = &stream.Pair{In: s.In, Out: s.Out} // of this attempt
	if s.isUntimed {
		r.Deadline = time.Time{}
	}
}

// invokeStreaming is invoke for a function that streams. It runs as long as somebody reads.
func (r *request) invokeStreaming(ctx context.Context, head []byte) ([]byte, *Error) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	if r.Deadline.IsZero() {
		r.provider.feeds.begin(r, end)
		defer r.provider.feeds.end(r)
	}
	b, err := r.function.invoke(ctx, r.Args.B, head, r.Streams)
	switch {
	case err == nil:
	case len(r.function.interceptors) > 0 && !r.began.Load():
		err.Executed = No
	case context.Cause(ctx) == ErrDraining && err.Code == Canceled:
		err = &Error{Code: Draining, Executed: Yes, Message: textDraining}
	}
	return b, err
}

// endOfInput is what a function is told of a stream that it takes, where that has ended too early.
func endOfInput(err error) error {
	if e, ok := err.(*codec.Error); ok {
		return ownError(e)
	}
	return Errorf(Canceled, "the stream has ended before its last item: %w", err)
}

// codeOf is the code of a function's error, and whether it is that of a call which the function made, except that a
// function which the closing of this node stopped was not canceled by its caller, nor is the caller's node closed.
func (r *request) codeOf(err *Error) (code Code, forwarded bool) {
	isStopped := err.Code == Canceled || err.forwarded && err.Code == Closed
	if !isStopped || r.Gone.Load() || r.provider.ctx.Err() == nil {
		return err.Code, err.forwarded
	}
	return r.origin.stopped(), false
}

// textLost is said to a caller that has come back.
const textLost = "the provider could not reach its caller for a while, and ended the call"

// unlessLost is the error of a function, except that one that was ended because its caller could not be reached was not
// canceled by it: the caller, if it comes back, waits yet, [CALL-6].
func (r *request) unlessLost(err *Error) *Error {
	if err.Code != Canceled || !r.Gone.IsLost() {
		return err
	}
	return &Error{Code: Unreachable, Executed: err.Executed, Message: textLost}
}

// context is what the function gets: the node's, ended by the deadline and by the caller's giving up. A function that
// does not ask for one is spared the cost.
func (r *request) context() context.Context {
	if !r.function.needsRequest() {
		return r.provider.ctx
	}
	r.ctx.r = r
	r.ctx.Begin(r.provider.ctx, r.Deadline)
	r.Request.Context.Store(&r.ctx.Context)
	if r.Gone.Load() {
		r.ctx.End()
	}
	return &r.ctx
}

// endContext ends what the function got: it has returned.
func (r *request) endContext() {
	if r.ctx.isMade() {
		r.ctx.End()
	}
}

// from is who calls.
func (r *request) from() netip.AddrPort { return r.origin.from(r.provider) }

// Expired reports that the request must not run any more, [CALL-5].
func (r *request) Expired(now time.Time) bool {
	return r.Gone.Load() || !r.Deadline.IsZero() && !now.Before(r.Deadline)
}

// Shed answers a request that expired while it waited.
func (r *request) Shed() {
	if r.Gone.IsLost() {
		r.answerCode(Unreachable, No, textLost)
		return
	}
	r.answerCode(DeadlineExceeded, No, "the deadline passed before the call began")
}

// postpone makes way for a provider that is busy with the overflow of its queue: the caller will send the request
// again. A request that came as a transfer is not sent again, so it is refused.
func (r *request) postpone() {
	if r.CameAsTransfer() {
		r.answerCode(Overloaded, No, link.TextBusy)
		return
	}
	r.link().Forget(&r.Request)
	r.Args.Release()
}

// Reject answers a request that waits while the node closes.
func (r *request) Reject() { r.answerCode(Closed, No, "the provider is closing") }

// Failed answers a request whose function, or an Interceptor before it, panicked or ended its goroutine.
func (r *request) Failed(v any, stack []byte) {
	r.provider.logPanic(r.function.name, v, stack)
	if r.function.Borrows() {
		r.LeaveArgs() // what the function has begun may still read them
	}
	if len(r.function.interceptors) > 0 && !r.began.Load() {
		r.answerCode(Internal, No, "an Interceptor of the function panicked")
		return
	}
	r.answerCode(Internal, Yes, "the function panicked")
}

// enqueue hands the request to the workers, whose it is from then on, and reports true; they are to be kicked. If they
// do not take it, it is over.
func (r *request) enqueue(p *pool.Pool) bool {
	switch p.Offer(r) {
	case pool.Overloaded:
		r.answerCode(Overloaded, No, link.TextBusy)
		return false
	case pool.Busy:
		r.postpone()
		return false
	}
	return true
}

// accept answers a one-way request, which is now among those that will run, [CALL-16].
func (r *request) accept() {
	r.link().AnswerEarly(time.Now(), &r.Request, r.frame(link.Outcome{Body: textNothing}))
}

// textNothing is a reply without results.
var textNothing = []byte{0}

// answerCode answers with an error that the function did not return.
func (r *request) answerCode(code Code, executed Executed, text string) {
	r.answerError(&Error{Code: code, Executed: executed, Message: text})
}

// answerError answers with an error. That of a one-way call has only the log to tell it to.
func (r *request) answerError(err *Error) {
	if p, ok := errors.AsType[*codec.MethodPanic](err.cause); ok {
		r.provider.logPanic(r.function.name, p.Value, p.Stack)
	}
	code, forwarded := r.codeOf(err)
	r.endTrace(err, code)
	o := link.Outcome{Code: wire.Code(code), Executed: wire.Executed(err.Executed), Forwarded: forwarded,
		Body: []byte(err.Message), Causes: knownErrors.Of(err.cause)}
	if r.stage == accepted {
		r.provider.noteLoss(r, err, code)
	} else {
		r.provider.noteFailed(r, err, code)
	}
	o.Body = r.frame(o)
	r.answer(o)
}

// frame begins the encoded answer, with room for what comes behind it.
func (r *request) frame(o link.Outcome) []byte { return r.origin.frame(&r.Request, o) }

// answer ends the request, which is counted by then for whoever has the answer. The body is what frame began.
func (r *request) answer(o link.Outcome) {
	if r.Streams != nil && r.Streams.Out != nil {
		r.Streams.Out.CloseWrite(nil) // also of a function that has not come to it, or has panicked
	}
	now := r.provider.now()
	r.endCount(now, o.Code)
	r.ReleaseArgs()
	switch {
	case r.stage == awaited:
		r.isAlone = r.origin.answer(now, &r.Request, o)
	case r.CameAsTransfer():
		r.link().GiveBack(&r.Request)
	}
}
