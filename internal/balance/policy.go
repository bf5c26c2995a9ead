package balance

import (
	"cmp"
	"slices"
	"time"
)

// Policy says when a function at a provider gets a breaker that is open, and for how long. Calls under the same policy
// share a breaker; what becomes of others is nothing to it.
type Policy struct {
	Failures int           // without a success among them: so many open it, at once if the function is broken there,
	Window   time.Duration // or after so long if it is only late or has no room: under overload some calls succeed
	Pause    time.Duration // until one call tries again
}

// Usual is the policy of calls that name none.
var Usual = Policy{Failures: 5, Window: time.Second, Pause: 5 * time.Second}

// OrUsual is a policy with what is usual where it says nothing.
func (p Policy) OrUsual() Policy {
	return Policy{
		Failures: cmp.Or(p.Failures, Usual.Failures),
		Window:   cmp.Or(p.Window, Usual.Window), Pause: cmp.Or(p.Pause, Usual.Pause),
	}
}

// forgivenAfter is how long after its last failure a breaker that nobody tries any more counts as closed.
func (p *Policy) forgivenAfter() time.Duration { return max(Forgiven, 2*p.Pause) }

// breakersMost is how many policies of one function at one provider have breakers: a program that makes ever new ones
// loses the breaker that failed longest ago.
const breakersMost = 8

// breakers are those of a function at a provider, one for each policy under which it failed. A list is not written to.
type breakers []*breaker

// under is the breaker of a policy, or nil.
func (list *breakers) under(p *Policy) *breaker {
	if list == nil {
		return nil
	}
	for _, b := range *list {
		if b.policy == *p {
			return b
		}
	}
	return nil
}

// with is a list with one more, in the place of the one that failed longest ago if there is no room.
func (list *breakers) with(b *breaker) *breakers {
	if list == nil {
		return &breakers{b}
	}
	more := slices.Clone(*list)
	if len(more) < breakersMost {
		more = append(more, b)
		return &more
	}
	longestAgo := 0
	for i := range more {
		if more[i].lastFailure().Before(more[longestAgo].lastFailure()) {
			longestAgo = i
		}
	}
	more[longestAgo] = b
	return &more
}

// without is a list without one; nil if none is left.
func (list *breakers) without(b *breaker) *breakers {
	less := slices.DeleteFunc(slices.Clone(*list), func(other *breaker) bool { return other == b })
	if len(less) == 0 {
		return nil
	}
	return &less
}

// breaker is that of a policy, or nil: the function did not fail under it since it last did well.
func (e *experience) breaker(p *Policy) *breaker { return e.breakers.Load().under(p) }

// breakerMade is that of a policy, made if there is none, for a first failure.
func (e *experience) breakerMade(t tripping, now time.Time, p *Policy) *breaker {
	for {
		list := e.breakers.Load()
		if b := list.under(p); b != nil {
			return b
		}
		isFull := list != nil && len(*list) == breakersMost
		if e.breakers.CompareAndSwap(list, list.with(newBreaker(t, now, *p))) && isFull {
			t.note() // the one that made room may have been open
		}
	}
}

// drop takes a breaker away. It reports whether it was there.
func (e *experience) drop(b *breaker) bool {
	for {
		list := e.breakers.Load()
		switch {
		case list == nil || !slices.Contains(*list, b):
			return false
		case e.breakers.CompareAndSwap(list, list.without(b)):
			return true
		}
	}
}
