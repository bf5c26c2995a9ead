package broach

import (
	"context"
	"fmt"
	"time"

	"broach/internal/link"
)

// How a call waits for a provider: see [WaitReady].

// readyAgain is when a call that waits looks again at providers that are there but refuse: that may end without a word.
const readyAgain = time.Second

// whenReady makes the call as soon as there is a provider.
func (c *Caller) whenReady(ctx context.Context, out *outCall) (p *link.Call, _ *Error) {
	return p, c.untilReady(ctx, out.deadline, func(now time.Time) (failed *Error) {
		p, failed = c.place(ctx, now, out)
		return failed
	})
}

// untilReady tries again and again, whenever something has changed, until there is a provider.
func (c *Caller) untilReady(ctx context.Context, deadline time.Time, try func(now time.Time) *Error) *Error {
	waiting, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	var before *Error
	for {
		v := c.node.calling.view.Load() // what changes from here on wakes the call
		failed := try(time.Now())
		switch {
		case failed == nil:
			return nil
		case !failed.again && !failed.isUnready():
			return failed.after(before)
		}
		c.awaitChange(waiting, v, failed)
		before = failed.after(before)
		switch {
		case c.node.isClosed() || c.node.serving.refusing.Load():
			return c.closed(No).after(before)
		case ctx.Err() != nil || waiting.Err() != nil:
			return c.waitedFor(waiting, failed).after(before)
		}
	}
}

// lasting is the error of an attempt, marked if a call that waits is to be made again though it may have run: nobody is
// left to run it now.
func (c *Caller) lasting(failed *Error, idempotent bool) *Error {
	isLost := failed.Code == Unreachable && !failed.forwarded
	if !c.opts.waits || !idempotent || c.opts.retries == 0 || !isLost && !failed.isUnready() {
		return failed
	}
	marked := *failed // which a Tracer has
	marked.again = true
	return &marked
}

// isUnready reports that a call failed because there is no provider that can be called now.
func (e *Error) isUnready() bool {
	return e.Executed == No && !e.forwarded && (isWrongPlace(e.Code) || e.Code == CircuitOpen)
}

// awaitChange waits until a view follows v, or until it is time to look again.
func (c *Caller) awaitChange(ctx context.Context, v *view, failed *Error) {
	var again <-chan time.Time
	if failed.Node != "" || failed.Code == CircuitOpen || c.node.cfg.Guest {
		again = time.After(readyAgain)
	}
	select {
	case <-v.nextc:
	case <-again:
	case <-ctx.Done():
	case <-c.node.serving.drainedc:
	case <-c.node.serving.provider.ctx.Done():
	}
}

// waitedFor is the error of a call that has waited for a provider until its ctx ended.
func (c *Caller) waitedFor(ctx context.Context, failed *Error) *Error {
	e := c.over(ctx, No)
	if e.Code == DeadlineExceeded {
		e.Message = "no provider within the deadline: " + failed.Code.String() + ": " + failed.Message
	}
	return e
}

// waitedForProviders is what WaitFor returns, where waiting has ended with err.
func waitedForProviders(service string, there, providers int, err error) error {
	if err == nil || err == ErrClosed {
		return err
	}
	return fmt.Errorf("broach: WaitFor %q: %d of %d providers when the context ended: %w", service, there, providers,
		err)
}
