package broach

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// onExperience runs a test in virtual time on what is known of a function. try makes a call that ends in an error, or in none, and
// reports whether it was let through.
func onExperience(t *testing.T, test func(t *testing.T, e *experience, to tripping, try func(*Error) bool)) {
	synctest.Test(t, func(t *testing.T) {
		e, to := &experience{}, tripping{new(record), &circuitNews{wake: func() {}}}
		test(t, e, to, func(failed *Error) bool {
			p, ok := e.enter()
			if ok {
				e.leave(to, time.Now(), p, failed)
			}
			return ok
		})
	})
}

// failingWith is an error with a code, of a call that may have run.
func failingWith(code Code) *Error { return &Error{Code: code, Executed: Maybe} }

// Five failures without a success open a breaker: at once if the function is broken there.
func TestBrokenFunctionOpensItsBreaker(t *testing.T) {
	for _, code := range []Code{Internal, Unreachable} {
		onExperience(t, func(t *testing.T, e *experience, to tripping, try func(*Error) bool) {
			for range breakerStreak - 1 {
				require.True(t, try(failingWith(code)))
			}
			require.True(t, try(nil))
			require.Nil(t, e.breaker.Load(), "what does well has no breaker")
			for range breakerStreak {
				require.True(t, try(failingWith(code)))
			}
			require.False(t, try(nil), "it is open")
			require.True(t, to.news.changed.Load(), "the loop is told")
		})
	}
}

// A function that is late, or has no room, opens it only when that has lasted for a second, since under overload some calls succeed.
func TestOverloadDoesNotOpenABreakerAtOnce(t *testing.T) {
	for _, code := range []Code{DeadlineExceeded, Overloaded} {
		onExperience(t, func(t *testing.T, e *experience, to tripping, try func(*Error) bool) {
			for range 100 {
				require.True(t, try(failingWith(code)))
			}
			time.Sleep(breakerSpan - 1)
			require.True(t, try(failingWith(code)))
			require.True(t, try(nil))
			time.Sleep(time.Nanosecond)
			for range 100 {
				require.True(t, try(failingWith(code)), "a success has begun a new second")
			}
			time.Sleep(breakerSpan)
			require.True(t, try(failingWith(code)))
			require.False(t, try(nil))
		})
	}
}

// A few failures are no streak, however long they last; and failures of both sorts go together.
func TestAStreakHasFiveFailures(t *testing.T) {
	onExperience(t, func(t *testing.T, e *experience, to tripping, try func(*Error) bool) {
		for _, code := range []Code{Internal, Overloaded, Unreachable, DeadlineExceeded} {
			require.True(t, try(failingWith(code)))
			time.Sleep(time.Minute)
		}
		require.True(t, try(failingWith(Internal)))
		require.False(t, try(nil))
	})
}

// Errors of the function's own are answers; what never reached the provider, or was given up, tells nothing; what the membership
// brought about is its own affair.
func TestWhatTheBreakerMakesOfErrors(t *testing.T) {
	for _, test := range []struct {
		failed *Error
		tells  finding
	}{
		{nil, wasServed},
		{&Error{Code: Application, Executed: Yes}, wasServed},
		{&Error{Code: 1000, Executed: Yes}, wasServed},
		{&Error{Code: NotFound, Executed: Yes}, wasServed},
		{&Error{Code: InvalidArgument, Executed: No}, tellsNothing},
		{&Error{Code: NotFound, Executed: No}, tellsNothing},
		{&Error{Code: Draining, Executed: No}, tellsNothing},
		{&Error{Code: TooLarge, Executed: No}, tellsNothing},
		{&Error{Code: Closed, Executed: Maybe}, tellsNothing},
		{&Error{Code: Canceled, Executed: Maybe}, tellsNothing},
		{&Error{Code: Unreachable, Executed: No}, tellsNothing},
		{&Error{Code: Unreachable, Executed: Maybe, gone: true}, tellsNothing},
		{&Error{Code: Unreachable, Executed: Maybe}, wasBroken},
		{&Error{Code: Internal, Executed: Yes}, wasBroken},
		{&Error{Code: DeadlineExceeded, Executed: Maybe}, wasBusy},
		{&Error{Code: DeadlineExceeded, Executed: No}, wasBusy},
		{&Error{Code: Overloaded, Executed: No}, wasBusy},
	} {
		require.Equal(t, test.tells, judge(test.failed), "%v", test.failed)
	}
}

// openBreaker opens the breaker.
func openBreaker(t *testing.T, try func(*Error) bool) {
	for range breakerStreak {
		require.True(t, try(failingWith(Internal)))
	}
	require.False(t, try(nil))
}

// After its pause a breaker lets one call through at a time. One that tells nothing makes room for the next.
func TestOneCallTriesAfterThePause(t *testing.T) {
	onExperience(t, func(t *testing.T, e *experience, to tripping, try func(*Error) bool) {
		openBreaker(t, try)
		time.Sleep(breakerPause)
		require.False(t, try(nil))
		time.Sleep(time.Nanosecond)
		p, ok := e.enter()
		require.True(t, ok)
		require.True(t, candidate{known: e}.isShut())
		require.False(t, try(nil), "one is on its way")
		e.leave(to, time.Now(), p, failingWith(Canceled))
		require.False(t, candidate{known: e}.isShut())
		require.True(t, try(failingWith(Internal)))
		require.False(t, try(nil), "it failed: another pause")
		time.Sleep(breakerPause + 1)
		require.True(t, try(nil))
		require.Nil(t, e.breaker.Load())
	})
}

// Calls that began before a breaker opened neither close it, nor keep it open when it tries.
func TestOldCallsDoNotCountForAnOpenBreaker(t *testing.T) {
	onExperience(t, func(t *testing.T, e *experience, to tripping, try func(*Error) bool) {
		first, _ := e.enter()
		second, _ := e.enter()
		require.True(t, try(failingWith(Internal)))
		third, _ := e.enter()
		for range breakerStreak - 1 {
			try(failingWith(Internal))
		}
		e.leave(to, time.Now(), first, nil)
		require.False(t, try(nil))
		time.Sleep(breakerPause + 1)
		e.leave(to, time.Now(), second, failingWith(Internal))
		e.leave(to, time.Now(), third, failingWith(Internal))
		require.True(t, try(nil))
	})
}

// A breaker that nobody tries any more counts as closed after a minute.
func TestForgottenBreakersAreForgiven(t *testing.T) {
	onExperience(t, func(t *testing.T, e *experience, to tripping, try func(*Error) bool) {
		to.record.experiences = map[string]*experience{"f": e}
		openBreaker(t, try)
		require.Equal(t, []string{"f"}, to.record.openCircuits(time.Now()))
		time.Sleep(breakerForgiven - 1)
		require.Equal(t, []string{"f"}, to.record.openCircuits(time.Now()), "also while it would let one try")
		time.Sleep(time.Nanosecond)
		require.Empty(t, to.record.openCircuits(time.Now()))
		require.True(t, try(failingWith(Internal)))
		require.True(t, try(nil))
	})
}

// That an earlier attempt may have run is not forgotten when the last one surely did not.
func TestTheOutcomeOfSeveralAttempts(t *testing.T) {
	before, last := failingWith(Unreachable), &Error{Code: Overloaded, Executed: No}
	require.Equal(t, Maybe, last.after(before).Executed)
	require.Equal(t, No, last.Executed, "errors are not changed")
	require.Same(t, last, last.after(nil))
	require.Same(t, last, last.after(&Error{Executed: No}))
	ran := &Error{Code: Internal, Executed: Yes}
	require.Same(t, ran, ran.after(before))
}
