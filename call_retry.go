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

// mayRetry reports whether another provider is to be asked, and waits until it is time to. Where the provider was just not the right one
// that is at once; where it has too much to do, or may have run the call, a little later and within the budget.
func (c *Caller) mayRetry(ctx context.Context, now, deadline time.Time, r *route, tried int, failed *Error) bool {
	if tried > c.opts.retries || !r.hasOthers(tried) && c.opts.local != LocalEqual {
		return false
	}
	switch {
	case failed.Executed == No && isWrongPlace(failed.Code):
		return true
	case failed.Executed == No && failed.Code == Overloaded && c.opts.event != 0:
		return true // one slow subscriber, which says nothing of the others; to ask them costs little, and the publisher waits
	case failed.Executed == No && failed.Code == Overloaded:
	case r.idempotent && failed.Code == Unreachable:
	default:
		return false
	}
	wait := time.Duration(c.node.random(int(pauseFirst << min(tried-1, 4))))
	if !now.Add(wait).Before(deadline) || !c.node.retries.spend(now, c.node.calls.Load()) {
		return false
	}
	return sleep(ctx, wait)
}

// isWrongPlace reports that a provider was just not the right one, with a call that did not run there.
func isWrongPlace(c Code) bool {
	return c == NotFound || c == Unavailable || c == Unreachable || c == Draining
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
