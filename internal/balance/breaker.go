package balance

import (
	"errors"
	"sync/atomic"
	"time"

	"broach/internal/wire"

	"github.com/sony/gobreaker/v2"
)

// breaker keeps calls under a policy from a provider at which a function fails. It exists from the first failure until
// a success, so that a function that does well costs nothing: what it counts are the failures since the last success.
type breaker struct {
	policy   Policy
	circuit  *gobreaker.TwoStepCircuitBreaker[any]
	since    time.Time    // of the first failure
	latest   atomic.Int64 // failure, in ns after the first
	failures atomic.Int64 // all of them
	broken   atomic.Int64 // those that tell more than that the provider had no time or no room
}

// newBreaker makes the breaker of a function at a provider, for a first failure.
func newBreaker(t tripping, now time.Time, p Policy) *breaker {
	b := &breaker{policy: p, since: now}
	b.circuit = gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{
		Timeout:     p.Pause,
		ReadyToTrip: func(c gobreaker.Counts) bool { return b.isRipe(c.ConsecutiveFailures) },
		IsExcluded:  func(err error) bool { return errors.Is(err, errNoFinding) },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			if from == gobreaker.StateClosed || to == gobreaker.StateClosed {
				t.note()
			}
		},
	})
	return b
}

// isRipe reports whether so many failures open the breaker.
func (b *breaker) isRipe(failures uint32) bool {
	return int(failures) >= b.policy.Failures &&
		(!b.isOverloaded() || time.Duration(b.latest.Load()) >= b.policy.Window)
}

// lastFailure is when it took up the last one.
func (b *breaker) lastFailure() time.Time { return b.since.Add(time.Duration(b.latest.Load())) }

// isClosed reports whether it lets every call through.
func (b *breaker) isClosed() bool { return b.circuit.State() == gobreaker.StateClosed }

// isShut reports whether it would let no call through now: it is open, or one that tries is under way.
func (b *breaker) isShut() bool {
	switch b.circuit.State() {
	case gobreaker.StateClosed:
		return false
	case gobreaker.StateHalfOpen:
		c := b.circuit.Counts()
		return c.Requests > c.TotalExclusions
	}
	return true
}

// fail takes up a failure. done is what the breaker gave the call that failed.
func (b *breaker) fail(now time.Time, v finding, done func(error)) {
	b.latest.Store(int64(now.Sub(b.since)))
	b.failures.Add(1)
	if v == wasBroken {
		b.broken.Add(1)
	}
	done(errCallFailed)
}

var (
	errNoFinding  = errors.New("the call tells nothing of the provider")
	errCallFailed = errors.New("the call failed")
)

// finding is what the outcome of a call tells of the function at its provider.
type finding uint8

const (
	tellsNothing finding = iota
	wasServed            // the function ran, and answered
	wasBusy              // the provider had no time or no room for it
	wasBroken            // it could not be run to its end
)

// Ending is how a call ended, as its caller is told.
type Ending struct {
	Code     wire.Code // 0: done
	Executed wire.Executed
	// the code is that of a call which the function made, [CALL-19]
	Forwarded bool
	Gone      bool // the membership found the provider to be away
}

// tells says what such an end tells of the function. Where the membership found the provider to be away, it tells
// nothing: the membership brings the provider back as soon as it is there, and an open breaker would only delay that.
// So does a provider that is there and says Unreachable of itself: it could not reach this node. Of a call that the
// function made, it is an answer like others.
func (e Ending) tells() finding {
	switch {
	case e.Code == 0:
		return wasServed
	case e.Gone, e.Code == wire.Unreachable && !e.Forwarded && e.Executed != wire.ExecutedMaybe: // No: never sent
		return tellsNothing
	}
	switch {
	case e.Forwarded:
	case e.Code == wire.Internal || e.Code == wire.Unreachable:
		return wasBroken
	case e.Code == wire.DeadlineExceeded || e.Code == wire.Overloaded:
		return wasBusy
	}
	if e.Executed == wire.ExecutedYes {
		return wasServed
	}
	return tellsNothing
}

// isOverloaded reports whether overload alone has opened the breaker: without the failures in which the provider had no
// time or no room it would be closed.
func (b *breaker) isOverloaded() bool { return int(b.broken.Load()) < b.policy.Failures }

// Heed says which breakers a call heeds.
type Heed uint8

const (
	HeedAll    Heed = iota
	HeedBroken      // all but those that overload alone has opened
	HeedNone        // none, and its outcome does not count for any
)

// lets reports whether a call with this Heed may pass a shut breaker.
func (h Heed) lets(b *breaker) bool { return h == HeedNone || h == HeedBroken && b.isOverloaded() }

// permit is what lets a call go to a provider, under a policy.
type permit struct {
	under *Policy
	by    *breaker    // nil: there was none
	done  func(error) // nil: the breaker is shut, and the call passes it all the same
}

// enter asks the breaker of a policy, if there is one, whether a call may go to the provider. Every permit is given to
// leave in the end.
func (e *experience) enter(p *Policy, h Heed) (permit, bool) {
	b := e.breaker(p)
	if b == nil {
		return permit{under: p}, true
	}
	done, err := b.circuit.Allow()
	if err != nil {
		return permit{under: p, by: b}, h.lets(b)
	}
	return permit{p, b, done}, true
}

// leave takes up what a call to a provider came to, at its end.
func (e *experience) leave(t tripping, now time.Time, p permit, ended Ending) {
	switch v := ended.tells(); {
	case p.by != nil && p.done == nil:
		e.leaveShut(t, p.by, v)
	case v == wasBusy || v == wasBroken:
		e.fail(t, now, p, v)
	case p.by != nil && v == wasServed:
		p.done(nil)
		e.mend(p.under)
	case p.by != nil:
		p.done(errNoFinding)
	case v == wasServed:
		e.mend(p.under)
	}
}

// leaveShut takes up what a call came to that passed a shut breaker: there is no overload any more, or worse than that.
func (e *experience) leaveShut(t tripping, b *breaker, v finding) {
	switch v {
	case wasServed:
		if e.drop(b) {
			t.note()
		}
	case wasBroken:
		b.broken.Add(1)
	}
}

// mend ends a streak of failures. A breaker that is open does not close by a call that began before it opened.
func (e *experience) mend(under *Policy) {
	if b := e.breaker(under); b != nil && b.isClosed() {
		e.drop(b)
	}
}

// fail takes up a failure. A call may have begun under an earlier breaker, or before there was one. It counts only
// while the present breaker is closed: an open one judges by the calls that it lets through to try.
func (e *experience) fail(t tripping, now time.Time, p permit, v finding) {
	b := e.breakerMade(t, now, p.under)
	if p.by == b {
		b.fail(now, v, p.done)
		return
	}
	if b.isClosed() {
		if done, err := b.circuit.Allow(); err == nil {
			b.fail(now, v, done)
		}
	}
}
