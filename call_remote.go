package broach

import (
	"context"
	"time"

	"broach/internal/buffer"
	"broach/internal/pace"
	"broach/internal/wire"
)

// route finds out where the function is.
func (c *Caller) route(ctx context.Context, now, deadline time.Time) (*route, *Error) {
	v := c.node.view.Load()
	r := c.routeIn(v)
	if r == nil && !v.joined {
		return c.awaitRoute(ctx, pace.Earliest(deadline, now.Add(joinWait)), deadline)
	}
	return r, c.unknown(r)
}

// awaitRoute waits a little for a name that is not known yet.
func (c *Caller) awaitRoute(ctx context.Context, until, deadline time.Time) (r *route, _ *Error) {
	waiting, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	_ = c.node.await(waiting, func(v *view) bool { r = c.routeIn(v); return r != nil || v.joined })
	switch {
	case r == nil && !time.Now().Before(deadline):
		return nil, c.fail(DeadlineExceeded, No, "the name was not known within the deadline"+c.node.notJoined(c.node.view.Load()))
	case ctx.Err() != nil:
		return nil, c.over(ctx, No)
	}
	return r, c.unknown(r)
}

// unknown is the error of a call that has no route.
func (c *Caller) unknown(r *route) *Error {
	switch {
	case r != nil:
		return nil
	case c.node.isClosed():
		return c.closed(No)
	}
	return c.notServed("no node offers this function" + c.node.notJoined(c.node.view.Load()))
}

// remote makes the call at one provider after the other until one has run it, or may have.
func (c *Caller) remote(ctx context.Context, now time.Time, r *route, out outCall) (*pendingCall, *Error) {
	ch := chooser{service: c.name, now: now, random: c.node.roll}
	c.node.calls.Add(1)
	var failed *Error
	for r != nil {
		l, err := c.choose(r, &ch)
		switch {
		case err != nil:
			return nil, err.after(failed)
		case l == nil && failed == nil:
			return nil, c.nobody(r)
		case l == nil:
			return nil, failed
		case l == c.node.self:
			return c.localAfter(ctx, out, failed)
		}
		var p *pendingCall
		p, err = c.visit(ctx, now, &ch.chosen, out)
		if err == nil {
			return p, nil
		}
		failed = err.after(failed)
		ch.tried = append(ch.tried, l)
		if !c.mayRetry(ctx, time.Now(), out.deadline, r, len(ch.tried), err) {
			break
		}
		now, r = time.Now(), c.routeIn(c.node.view.Load())
		c.noteRetry(now, err)
		if r == nil && c.opts.local == LocalEqual && c.here() != nil {
			return c.localAfter(ctx, out, failed)
		}
	}
	return nil, failed
}

// localAfter runs a call here that may have failed elsewhere before.
func (c *Caller) localAfter(ctx context.Context, out outCall, before *Error) (*pendingCall, *Error) {
	p, failed := c.localAsOne(ctx, out)
	if failed != nil {
		failed = failed.after(before)
	}
	return p, failed
}

// after is an error as the outcome of a call that had failed before, if before is not nil: that it may have run then is not forgotten.
func (e *Error) after(before *Error) *Error {
	if before == nil || before.Executed == No || e.Executed != No {
		return e
	}
	outcome := *e
	outcome.Executed = Maybe
	return &outcome
}

// visit makes the call at the provider chosen, and takes up how that ended, also if a method of the user's ends the goroutine.
func (c *Caller) visit(ctx context.Context, now time.Time, v *visit, out outCall) (p *pendingCall, failed *Error) {
	failed = errCutShort
	defer func() { v.leave(now, time.Now(), failed) }()
	return c.attempt(ctx, now, v.link, out)
}

// errCutShort is how a visit ended that did not come to its end.
var errCutShort = &Error{Code: Canceled, Executed: No}

// attempt makes the call at one provider.
func (c *Caller) attempt(ctx context.Context, now time.Time, l *link, out outCall) (*pendingCall, *Error) {
	l = l.best()
	l.inflight.Add(1)
	defer l.inflight.Add(-1)
	if l.draining.Load() {
		return nil, c.at(l.id.Addr, c.fail(Draining, No, string(textDraining)))
	}
	frame := buffer.New()
	m := wire.Request{Remaining: remaining(now, out.deadline), Service: []byte(c.name), Meta: out.meta}
	if out.oneWay {
		frame.B = wire.Send(m).Append(frame.B)
	} else {
		frame.B = m.Append(frame.B)
	}
	if err := c.encode(frame, out.Arguments); err != nil {
		frame.Release()
		return nil, err
	}
	frame.B = wire.SetLength(frame.B)
	p := c.node.newPending()
	slot, seq, err := l.call(now, out.deadline, frame, p)
	if err != nil {
		c.node.freePending(p)
		return nil, c.unsent(l, err)
	}
	return c.wait(ctx, l, slot, seq, p)
}

// unsent is the error of a call that a link did not take.
func (c *Caller) unsent(l *link, err error) *Error {
	if c.node.isClosed() {
		return c.closed(No)
	}
	return c.at(l.id.Addr, c.fail(Unreachable, No, err.Error()))
}

// wait waits for the outcome of a call that was sent.
func (c *Caller) wait(ctx context.Context, l *link, slot uint16, seq uint32, p *pendingCall) (*pendingCall, *Error) {
	select {
	case <-p.donec:
	case <-ctx.Done():
		if l.abandon(slot, seq) {
			c.node.freePending(p)
			return nil, c.at(l.id.Addr, c.over(ctx, Maybe))
		}
		<-p.donec
	}
	return c.ended(l.id.Addr, p)
}
