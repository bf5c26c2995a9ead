package broach

import (
	"context"
	"sync"
	"time"
)

const (
	budgetFloor = 10                    // retries a second that are always allowed
	budgetShare = 5                     // and one for so many calls
	pauseFirst  = 10 * time.Millisecond // before a retry, at most; twice as long before each further one
)

// retryBudget keeps retries from adding to an overload. It is used by many calls at once.
type retryBudget struct {
	mu     sync.Mutex
	since  time.Time // of this second
	before uint64    // calls made until then
	spent  uint64
}

// spend takes a retry from the budget. calls is how many were made in all.
func (b *retryBudget) spend(now time.Time, calls uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.Sub(b.since) >= time.Second {
		b.since, b.before, b.spent = now, calls, 0
	}
	if b.spent >= budgetFloor+(calls-b.before)/budgetShare {
		return false
	}
	b.spent++
	return true
}

// isRetried reports whether another provider may be asked after such a failure. Where the provider was just not the right one it may be at
// once, and without the budget; likewise where a subscriber has no room for an event, which says nothing of the others: to ask them costs little, and
// the publisher waits.
func (c *Caller) isRetried(failed *Error, idempotent bool) (may, atOnce bool) {
	switch {
	case failed.Executed == No && isWrongPlace(failed.Code):
		return true, true
	case failed.Executed == No && failed.Code == Overloaded:
		return true, c.opts.event != 0
	}
	return idempotent && failed.Code == Unreachable, false
}

// mayRetry reports whether another provider is to be asked, and waits until it is time to. Where it
// has too much to do, or may have run the call, that is a little later and, as a rule, within the budget.
func (c *Caller) mayRetry(ctx context.Context, now, deadline time.Time, r *route, tried int, failed *Error) bool {
	if tried > c.opts.retries || !r.hasOthers(tried) && c.opts.local != LocalEqual {
		return false
	}
	if may, atOnce := c.isRetried(failed, r.isIdempotent()); !may || atOnce {
		return may
	}
	wait := time.Duration(c.node.random(int(pauseFirst << min(tried-1, 4))))
	if !now.Add(wait).Before(deadline) || !c.mayAdd(now, failed) {
		return false
	}
	return sleep(ctx, wait)
}

// isWrongPlace reports that a provider was just not the right one, with a call that did not run there.
func isWrongPlace(c Code) bool {
	return c == NotFound || c == Unavailable || c == Unreachable || c == Draining
}

// mayAdd takes a retry from the budget, if there is one left. The calls that were in flight to a provider found to be gone need none: they
// are as many as there were, once, and others would have run them anyway.
func (c *Caller) mayAdd(now time.Time, failed *Error) bool {
	return failed.gone || c.node.retries.spend(now, c.node.calls.Load())
}

// hasOthers reports whether there are more than so many providers.
func (r *route) hasOthers(tried int) bool { return len(r.alive)+len(r.doubtful) > tried }

// sleep waits, and reports whether ctx has not ended meanwhile.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
