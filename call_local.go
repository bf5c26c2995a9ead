package broach

import (
	"context"
	"errors"
	"time"
)

// local runs the function here, with the semantics of a remote call: arguments and results are copied, and it runs in the
// pool, with the same deadline, limits, errors and panic barrier.
func (c *Caller) local(ctx context.Context, deadline time.Time, f *function, args arguments) (*pendingCall, *Error) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	frame := newBuffer()
	if err := c.encode(frame, args); err != nil {
		frame.release()
		return nil, err
	}
	p := c.node.newPending()
	r := &request{provider: &c.node.provider, function: f, args: frame, deadline: deadline, pending: p}
	if err := c.node.pool.submit(ctx, r); err != nil {
		frame.release()
		c.node.freePending(p)
		return nil, c.unsubmitted(ctx, err)
	}
	select {
	case <-p.donec:
		return c.ended(c.node.addr, p)
	case <-ctx.Done():
		r.giveUp()
		return nil, c.at(c.node.addr, c.over(ctx, Maybe)) // p belongs to the request, which may still run
	case <-c.node.provider.ctx.Done():
		return nil, c.at(c.node.addr, c.closed(Maybe)) // likewise
	}
}

// localAsOne runs a call here because this node was chosen from the providers.
func (c *Caller) localAsOne(ctx context.Context, deadline time.Time, args arguments) (*pendingCall, *Error) {
	f := c.here()
	if f == nil {
		return nil, c.fail(NotFound, No, "the node does not offer this function any more")
	}
	c.node.self.inflight.Add(1)
	defer c.node.self.inflight.Add(-1)
	return c.local(ctx, deadline, f, args)
}

// unsubmitted is the error of a local call that the pool did not take.
func (c *Caller) unsubmitted(ctx context.Context, err error) *Error {
	switch {
	case errors.Is(err, errPoolClosed):
		return c.closed(No)
	case ctx.Err() != nil:
		return c.at(c.node.addr, c.over(ctx, No))
	}
	return c.at(c.node.addr, c.fail(Overloaded, No, string(textBusy)))
}
