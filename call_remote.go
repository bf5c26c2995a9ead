package broach

import (
	"context"
	"time"

	"broach/internal/wire"
)

// route finds out where the function is.
func (c *Caller) route(ctx context.Context, now, deadline time.Time) (*route, *Error) {
	v := c.node.view.Load()
	r := v.routes[c.name]
	if r == nil && !v.joined {
		return c.awaitRoute(ctx, earliest(deadline, now.Add(joinWait)), deadline)
	}
	return r, c.unknown(r)
}

// awaitRoute waits a little for a name that is not known yet.
func (c *Caller) awaitRoute(ctx context.Context, until, deadline time.Time) (r *route, _ *Error) {
	waiting, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	_ = c.node.await(waiting, func(v *view) bool { r = v.routes[c.name]; return r != nil || v.joined })
	switch {
	case r == nil && !time.Now().Before(deadline):
		return nil, c.fail(DeadlineExceeded, No, "the name was not known within the deadline, and the node has not joined")
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
	return c.fail(NotFound, No, "no node offers this function")
}

// remote sends the call to one provider. Another one is asked only if the call was surely not executed: the provider was
// gone before anything was sent, or says that it does not offer the function (our view of it was old).
func (c *Caller) remote(ctx context.Context, now, deadline time.Time, r *route, args arguments) (*pendingCall, *Error) {
	var tried []*link
	var last *Error
	for range callAttempts {
		l := r.pick(c.node.random, tried)
		if l == nil {
			break
		}
		p, err := c.attempt(ctx, now, deadline, l, args)
		if err == nil {
			return p, nil
		}
		last = err
		if err.Executed != No || !isForAnother(err.Code) {
			break
		}
		tried = append(tried, l)
	}
	if last == nil {
		last = c.fail(Unavailable, No, "no provider of this function can be reached now")
	}
	return nil, last
}

// isForAnother reports whether another provider may do what one with this failure did not.
func isForAnother(code Code) bool { return code == NotFound || code == Unreachable || code == Draining }

// attempt makes the call at one provider.
func (c *Caller) attempt(ctx context.Context, now, deadline time.Time, l *link, args arguments) (*pendingCall, *Error) {
	l.inflight.Add(1)
	defer l.inflight.Add(-1)
	if l.draining.Load() {
		return nil, c.at(l.id.addr, c.fail(Draining, No, string(textDraining)))
	}
	frame := newBuffer()
	frame.b = wire.Request{Remaining: remaining(now, deadline), Service: []byte(c.name)}.Append(frame.b)
	if err := c.encode(frame, args); err != nil {
		frame.release()
		return nil, err
	}
	frame.b = wire.SetLength(frame.b)
	p := c.node.newPending()
	slot, seq, err := l.call(now, deadline, frame, p)
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
	return c.at(l.id.addr, c.fail(Unreachable, No, err.Error()))
}

// wait waits for the outcome of a call that was sent.
func (c *Caller) wait(ctx context.Context, l *link, slot uint16, seq uint32, p *pendingCall) (*pendingCall, *Error) {
	select {
	case <-p.donec:
	case <-ctx.Done():
		if l.abandon(slot, seq) {
			c.node.freePending(p)
			return nil, c.at(l.id.addr, c.over(ctx, Maybe))
		}
		<-p.donec
	}
	return c.ended(l.id.addr, p)
}
