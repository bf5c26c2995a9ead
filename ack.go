package broach

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"broach/internal/balance"
	"broach/internal/buffer"
	"broach/internal/codec"
	"broach/internal/deadline"
	"broach/internal/link"
	"broach/internal/stream"
	"broach/internal/wire"
)

// What a caller learns of one request at one provider: it is handed to a link, which sends it until it is acknowledged,
// and what reply, acknowledgement or silence say of it becomes an Error here alone.

// visit makes the call at the provider chosen, and takes up how that ended, also if a method of the user's ends the
// goroutine.
func (c *Caller) visit(
	ctx context.Context, now time.Time, v *balance.Visit, out *outCall,
) (p *link.Call, failed *Error) {
	failed = errCutShort
	ended := errCutShort // also where it was only compared
	n, to := out.trace.begin(), v.Link.ID.Addr
	defer func() {
		at := c.node.serving.provider.now()
		v.Leave(now, at, ended.ending(), &c.node.calling.circuits)
		out.trace.tried(to, n, failed)
		endAttempt(at, p)
	}()
	if out.isShaped {
		if failed = c.compare(ctx, v, out); failed != nil {
			return nil, failed
		}
		now = time.Now() // Strict may have waited
	}
	c.countAttempt(ctx, out)
	p, ended = c.attempt(ctx, now, v, out)
	return p, ended
}

// countAttempt counts an attempt that is not the first of its call, and begins what streams.
func (c *Caller) countAttempt(ctx context.Context, out *outCall) {
	if atomic.AddInt32(&out.attempts, 1) > 1 {
		c.cell().Retry()
	}
	out.streams.begin(ctx)
}

// endAttempt notes in the outcome of a call, if there is one, when that was.
func endAttempt(now time.Time, p *link.Call) {
	if p != nil {
		p.At = now
	}
}

// ending is how a call ended that ended with this error; nil: with none.
func (e *Error) ending() balance.Ending {
	if e == nil {
		return balance.Ending{}
	}
	return balance.Ending{
		Code: wire.Code(e.Code), Executed: wire.Executed(e.Executed), Forwarded: e.forwarded, Gone: e.gone,
	}
}

// errCutShort is how a visit ended that did not come to its end.
var errCutShort = &Error{Code: Canceled, Executed: No}

// attempt makes the call at one provider.
func (c *Caller) attempt(ctx context.Context, now time.Time, v *balance.Visit, out *outCall) (*link.Call, *Error) {
	l := v.Link.Best()
	v.Record.Inflight.Add(1)
	defer v.Record.Inflight.Add(-1)
	if v.Record.Draining.Load() {
		return nil, c.at(l.ID.Addr, c.newError(Draining, No, textDraining))
	}
	if out.streams != nil {
		return c.attemptStreaming(ctx, now, l, out)
	}
	return c.send(ctx, now, l, out, out.meta, nil)
}

// send sends the request of an attempt, and waits for its outcome. pipes are what streams; nil: nothing.
func (c *Caller) send(
	ctx context.Context, now time.Time, l *link.Link, out *outCall, meta []byte, pipes *stream.Pair,
) (*link.Call, *Error) {
	frame := buffer.New()
	m := wire.Request{Remaining: link.Remaining(now, out.deadline), Service: []byte(c.name), Meta: meta}
	if out.oneWay {
		frame.B = wire.Send(m).Append(frame.B)
	} else {
		frame.B = m.Append(frame.B)
	}
	if err := c.encodeTo(frame, &out.Arguments); err != nil {
		frame.Release()
		return nil, err
	}
	frame.B = wire.SetLength(frame.B)
	p := c.node.linking.wires.NewCall()
	p.Streams = pipes
	slot, seq, err := l.Send(now, out.deadline, frame, p)
	if err != nil {
		c.node.linking.wires.FreeCall(p)
		return nil, c.unsent(l, err)
	}
	return c.wait(ctx, l, slot, seq, p)
}

// encode appends the arguments to a message.
func (c *Caller) encode(frame *buffer.Buffer, args codec.Arguments) *Error {
	head := len(frame.B)
	var err error
	frame.B, err = args.Append(frame.B, c.node.linking.wires.MaxMessage)
	return c.checkSize(len(frame.B)-head, err)
}

// encodeTo is encode for a message that is sent before the call ends: so large bytes are sent from where they are.
func (c *Caller) encodeTo(frame *buffer.Buffer, args *codec.Arguments) *Error {
	head := len(frame.B)
	err := args.AppendTo(frame, c.node.linking.wires.MaxMessage)
	return c.checkSize(len(frame.B)+len(frame.Tail)-head, err)
}

// checkSize is the error of arguments that were encoded, or with which that failed.
func (c *Caller) checkSize(size int, err error) *Error {
	most := c.node.linking.wires.MaxMessage
	if errors.Is(err, codec.ErrSize) || size > most {
		err = codec.TooLarge(wire.ExecutedNo, "arguments", most)
	}
	if err != nil {
		return c.own(err)
	}
	return nil
}

// unsent is the error of a call that a link did not take.
func (c *Caller) unsent(l *link.Link, err error) *Error {
	if c.node.isClosed() {
		return c.closed(No)
	}
	code := Overloaded // there are as many in flight as there may be
	if err == link.ErrDown {
		code = Unreachable
	}
	return c.at(l.ID.Addr, c.newError(code, No, err.Error()))
}

// wait waits for the outcome of a call that was sent.
func (c *Caller) wait(ctx context.Context, l *link.Link, slot uint16, seq uint32, p *link.Call) (*link.Call, *Error) {
	if !awaitEnd(ctx, p) {
		if l.Abandon(slot, seq) {
			p.AwaitSent()
			c.node.linking.wires.FreeCall(p)
			return nil, c.at(l.ID.Addr, c.over(ctx, Maybe))
		}
		<-p.Done
	}
	p.AwaitSent()
	return c.ended(l.ID.Addr, p)
}

// awaitEnd waits until a call has ended, or ctx; then it returns false.
func awaitEnd(ctx context.Context, p *link.Call) (isOver bool) {
	u, ok := ctx.(*deadline.Untimed)
	if !ok {
		return awaitEither(ctx.Done(), p)
	}
	parent, own := u.Ends() // within Interceptors
	select {
	case <-p.Done:
		return true
	case <-parent:
	case <-own:
	}
	return false
}

// awaitEither is awaitEnd for a ctx that ends so. One that never does is not looked at: to wait for one channel costs
// half of what it costs to choose among two. The link ends the call at its deadline.
func awaitEither(over <-chan struct{}, p *link.Call) (isOver bool) {
	if over == nil {
		<-p.Done
		return true
	}
	select {
	case <-p.Done:
		return true
	case <-over:
		return false
	}
}

// ended returns the outcome of a call that has ended.
func (c *Caller) ended(node netip.AddrPort, p *link.Call) (*link.Call, *Error) {
	if p.Code == 0 {
		p.Node = node
		return p, nil
	}
	e := c.at(node, c.newError(Code(p.Code), Executed(p.Executed), strings.ToValidUTF8(string(p.Body), "\uFFFD")))
	e.cause = knownErrors.Read(p.Causes)
	e.forwarded, e.gone = p.Forwarded, p.Gone
	c.node.linking.wires.FreeCall(p)
	return nil, e
}

// over is the error of a call whose ctx has ended.
func (c *Caller) over(ctx context.Context, executed Executed) *Error {
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return c.newError(DeadlineExceeded, executed, textDeadline)
	case c.node.isClosed():
		return c.closed(executed)
	}
	return c.newError(Canceled, executed, whyCanceled(ctx))
}

// closed is the error of a call that the closing of this node ended.
func (c *Caller) closed(executed Executed) *Error {
	return c.newError(Closed, executed, textClosed)
}

// after is an error as the outcome of a call that had failed before, if before is not nil: that it may have run then is
// not forgotten.
func (e *Error) after(before *Error) *Error {
	if before == nil || before.Executed == No || e.Executed != No {
		return e
	}
	outcome := *e
	outcome.Executed = Maybe
	return &outcome
}
