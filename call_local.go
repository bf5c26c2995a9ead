package broach

import (
	"context"
	"errors"
	"time"

	"broach/internal/balance"
	"broach/internal/buffer"
	"broach/internal/link"
	"broach/internal/pool"
	"broach/internal/wire"
)

// localFirst runs the call here. If the arguments do not fit the signature that this node offers, it runs the call at a
// provider with another signature. Arguments that lately fitted there and not here go there at once.
func (c *Caller) localFirst(ctx context.Context, now time.Time, f *service, out *outCall) (*link.Call, *Error) {
	if !f.misfits.IsEmpty() && len(f.misfits.Of(now, out.Shape())) > 0 {
		if p, failed := c.elsewhere(ctx, now, f, out, nil); failed == nil || !failed.isUnready() && !failed.isMisfit() {
			return p, failed
		}
	}
	p, misfit := c.local(ctx, now, f, out)
	if misfit == nil || !misfit.skewed && (!misfit.isMisfit() || c.opts.retries == 0) {
		return p, misfit
	}
	p, failed := c.elsewhere(ctx, now, f, out, misfit)
	if misfit.isMisfit() && failed != misfit {
		f.misfits.Learn(now, out.Shape(), f.rowSignature())
	}
	return p, failed
}

// elsewhere makes a call at other nodes, whose signature is another than ours. If it failed here because of the fields
// of a struct, any signature will do: a signature does not tell fields. failed is how it failed here, and is returned
// if no provider fits; nil: it was not made here.
func (c *Caller) elsewhere(
	ctx context.Context, now time.Time, f *service, out *outCall, failed *Error,
) (*link.Call, *Error) {
	r, signature := c.routeIn(c.node.calling.view.Load()), f.rowSignature()
	isSkewed := failed != nil && failed.skewed
	switch {
	case !c.isHereOnly() && r != nil && (isSkewed || r.hasAnother(signature)):
	case failed != nil:
		return nil, failed
	default:
		return nil, c.unreached()
	}
	away := *c
	away.opts.local = LocalNever
	var ch balance.Chooser
	c.beginChoice(&ch, now, r, out)
	if !isSkewed {
		ch.Refused = []string{signature}
	}
	if failed != nil && !isSkewed {
		away.opts.retries--
	}
	return away.among(ctx, r, out, &ch, failed)
}

// local runs the function here, with the semantics of a remote call: arguments and results are copied, and it runs in
// the pool, with the same deadline, limits, errors and panic barrier.
func (c *Caller) local(
	ctx context.Context, now time.Time, f *service, out *outCall,
) (ended *link.Call, failed *Error) {
	n := out.trace.begin()
	defer func() {
		out.trace.tried(c.node.Addr(), n, failed)
		endAttempt(time.Now(), ended)
	}()
	if out.isShaped {
		if failed := c.compareHere(f, out); failed != nil {
			return nil, failed
		}
	}
	c.countAttempt(ctx, out)
	ctx, cancel := context.WithDeadline(ctx, out.deadline)
	defer cancel()
	frame := buffer.New()
	if err := c.encode(frame, out.Arguments); err != nil {
		frame.Release()
		return nil, err
	}
	p := c.node.linking.wires.NewCall()
	r := &request{provider: &c.node.serving.provider, function: f, meta: decodeMeta(out.meta), origin: fromHere{p}}
	r.Args, r.Deadline, r.came = frame, out.deadline, c.node.serving.provider.at(now)
	if s := out.streams; s != nil {
		r.streamsHere(s)
	}
	if out.oneWay {
		return c.localOneWay(ctx, r, p)
	}
	if err := c.submit(ctx, r, p); err != nil {
		return nil, err
	}
	select {
	case <-p.Done:
		return c.ended(c.node.addr, p)
	case <-ctx.Done():
	case <-c.node.serving.provider.ctx.Done():
	}
	return c.unawaited(ctx, r, p)
}

// unawaited is the outcome of a local call whose caller waits no longer. If it has ended, it is that end. Else nobody
// knows, and the request keeps its link.Call: the function may still run.
func (c *Caller) unawaited(ctx context.Context, r *request, p *link.Call) (*link.Call, *Error) {
	select {
	case <-p.Done:
		return c.ended(c.node.addr, p)
	default:
	}
	r.GiveUp()
	return nil, c.at(c.node.addr, c.over(ctx, Maybe))
}

// localOneWay waits until the pool has taken the request. The call is over then.
func (c *Caller) localOneWay(ctx context.Context, r *request, p *link.Call) (*link.Call, *Error) {
	if r.function.takeEvent != nil {
		r.function.takeEvent(r)
		<-p.Done
		return c.ended(c.node.addr, p)
	}
	if r.function.Streams() {
		return nil, c.at(c.node.addr, c.newError(InvalidArgument, No, textOneWay))
	}
	if !r.function.enter() {
		r.endCount(time.Now(), wire.Overloaded)
		return nil, c.at(c.node.addr, c.newError(Overloaded, No, textMost))
	}
	r.Way, r.stage, r.Deadline = link.OneWay, accepted, time.Time{}
	if err := c.submit(ctx, r, p); err != nil {
		r.function.leave()
		return nil, err
	}
	return p, nil
}

// submit gives a request to the pool. One that it does not take is over.
func (c *Caller) submit(ctx context.Context, r *request, p *link.Call) *Error {
	err := c.node.serving.pool.Submit(ctx, r)
	if err == nil {
		return nil
	}
	r.Args.Release()
	c.node.linking.wires.FreeCall(p)
	failed := c.unsubmitted(ctx, err)
	r.endCount(time.Now(), wire.Code(failed.Code))
	return failed
}

// localAsOne runs a call here because this node was chosen from the providers.
func (c *Caller) localAsOne(ctx context.Context, now time.Time, out *outCall) (*link.Call, *Error) {
	f := c.here()
	if f == nil {
		return nil, c.notServed("the node does not offer this function any more")
	}
	c.node.calling.self.Inflight.Add(1)
	defer c.node.calling.self.Inflight.Add(-1)
	return c.local(ctx, now, f, out)
}

// notServed is the error of a call for which there is no provider: either this node offers the function and has paused
// it, or the function is unknown.
func (c *Caller) notServed(unknown string) *Error {
	if c.node.serving.offered.get(c.name) != nil && c.opts.local != LocalNever {
		return c.at(c.node.addr, c.newError(Unavailable, No, textPaused))
	}
	return c.newError(NotFound, No, unknown)
}

// unsubmitted is the error of a local call that the pool did not take.
func (c *Caller) unsubmitted(ctx context.Context, err error) *Error {
	switch {
	case errors.Is(err, pool.ErrClosed):
		return c.closed(No)
	case ctx.Err() != nil:
		return c.at(c.node.addr, c.over(ctx, No))
	}
	return c.at(c.node.addr, c.newError(Overloaded, No, link.TextBusy))
}
