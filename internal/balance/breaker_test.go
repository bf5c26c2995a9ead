package balance

import (
	"testing"
	"testing/synctest"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// onExperience runs a test in virtual time on what is known of a function. try makes a call that ends in an error, or
// in none, and reports whether it was let through.
func onExperience(t *testing.T, test func(t *testing.T, e *experience, to tripping, try func(Ending) bool)) {
	synctest.Test(t, func(t *testing.T) {
		e, to := &experience{}, tripping{new(Record), &Circuits{Wake: func() {}}}
		test(t, e, to, func(ended Ending) bool {
			p, ok := e.enter(&Usual, HeedAll)
			if ok {
				e.leave(to, time.Now(), p, ended)
			}
			return ok
		})
	})
}

// failingWith is the end of a call that may have run.
func failingWith(code wire.Code) Ending { return Ending{Code: code} }

// done is that of one that was served.
var done = Ending{}

// Five failures without a success open a breaker: at once if the function is broken there.
func TestBrokenFunctionOpensItsBreaker(t *testing.T) {
	for _, code := range []wire.Code{wire.Internal, wire.Unreachable} {
		onExperience(t, func(t *testing.T, e *experience, to tripping, try func(Ending) bool) {
			for range Usual.Failures - 1 {
				require.True(t, try(failingWith(code)))
			}
			require.True(t, try(done))
			require.Nil(t, e.breakers.Load(), "what does well has no breaker")
			for range Usual.Failures {
				require.True(t, try(failingWith(code)))
			}
			require.False(t, try(done), "it is open")
			require.True(t, to.news.Changed.Load(), "the loop is told")
		})
	}
}

// A function that is late, or has no room, opens it only when that has lasted for a second, since under overload some
// calls succeed.
func TestOverloadDoesNotOpenABreakerAtOnce(t *testing.T) {
	for _, code := range []wire.Code{wire.DeadlineExceeded, wire.Overloaded} {
		onExperience(t, func(t *testing.T, e *experience, to tripping, try func(Ending) bool) {
			for range 100 {
				require.True(t, try(failingWith(code)))
			}
			time.Sleep(Usual.Window - 1)
			require.True(t, try(failingWith(code)))
			require.True(t, try(done))
			time.Sleep(time.Nanosecond)
			for range 100 {
				require.True(t, try(failingWith(code)), "a success has begun a new second")
			}
			time.Sleep(Usual.Window)
			require.True(t, try(failingWith(code)))
			require.False(t, try(done))
		})
	}
}

// A few failures are no streak, however long they last; and failures of both sorts go together.
func TestAStreakHasFiveFailures(t *testing.T) {
	onExperience(t, func(t *testing.T, e *experience, to tripping, try func(Ending) bool) {
		for _, code := range []wire.Code{wire.Internal, wire.Overloaded, wire.Unreachable, wire.DeadlineExceeded} {
			require.True(t, try(failingWith(code)))
			time.Sleep(time.Minute)
		}
		require.True(t, try(failingWith(wire.Internal)))
		require.False(t, try(done))
	})
}

// Errors of the function's own, and of calls that it made, are answers, [CALL-19]; what never reached the provider, or
// was given up, tells nothing; what the membership brought about is its own affair.
func TestWhatTheBreakerMakesOfErrors(t *testing.T) {
	for _, test := range []struct {
		ended Ending
		tells finding
	}{
		{Ending{}, wasServed},
		{Ending{Code: wire.Application, Executed: wire.ExecutedYes}, wasServed},
		{Ending{Code: 1000, Executed: wire.ExecutedYes}, wasServed},
		{Ending{Code: wire.NotFound, Executed: wire.ExecutedYes}, wasServed},
		{Ending{Code: wire.InvalidArgument, Executed: wire.ExecutedNo}, tellsNothing},
		{Ending{Code: wire.NotFound, Executed: wire.ExecutedNo}, tellsNothing},
		{Ending{Code: wire.Draining, Executed: wire.ExecutedNo}, tellsNothing},
		{Ending{Code: wire.TooLarge, Executed: wire.ExecutedNo}, tellsNothing},
		{Ending{Code: wire.Closed, Executed: wire.ExecutedMaybe}, tellsNothing},
		{Ending{Code: wire.Canceled, Executed: wire.ExecutedMaybe}, tellsNothing},
		{Ending{Code: wire.Unreachable, Executed: wire.ExecutedNo}, tellsNothing},
		{Ending{Code: wire.Unreachable, Executed: wire.ExecutedMaybe, Gone: true}, tellsNothing},
		{Ending{Code: wire.Unreachable, Executed: wire.ExecutedMaybe}, wasBroken},
		{Ending{Code: wire.Internal, Executed: wire.ExecutedYes}, wasBroken},
		{Ending{Code: wire.DeadlineExceeded, Executed: wire.ExecutedMaybe}, wasBusy},
		{Ending{Code: wire.DeadlineExceeded, Executed: wire.ExecutedNo}, wasBusy},
		{Ending{Code: wire.Overloaded, Executed: wire.ExecutedNo}, wasBusy},
		{Ending{Code: wire.Overloaded, Executed: wire.ExecutedYes, Forwarded: true}, wasServed},
		{Ending{Code: wire.Internal, Executed: wire.ExecutedYes, Forwarded: true}, wasServed},
		{Ending{Code: wire.Unreachable, Executed: wire.ExecutedYes, Forwarded: true}, wasServed},
		{Ending{Code: wire.Unreachable, Executed: wire.ExecutedNo, Forwarded: true}, tellsNothing},
		{Ending{Code: wire.Unreachable, Executed: wire.ExecutedYes}, tellsNothing},
	} {
		require.Equal(t, test.tells, test.ended.tells(), "%v", test.ended)
	}
}

// openBreaker opens the breaker.
func openBreaker(t *testing.T, try func(Ending) bool) {
	for range Usual.Failures {
		require.True(t, try(failingWith(wire.Internal)))
	}
	require.False(t, try(done))
}

// After its pause a breaker lets one call through at a time. One that tells nothing makes room for the next.
func TestOneCallTriesAfterThePause(t *testing.T) {
	onExperience(t, func(t *testing.T, e *experience, to tripping, try func(Ending) bool) {
		openBreaker(t, try)
		time.Sleep(Usual.Pause)
		require.False(t, try(done))
		time.Sleep(time.Nanosecond)
		p, ok := e.enter(&Usual, HeedAll)
		c, d := Chooser{Policy: &Usual}, &Candidate{known: e}
		require.True(t, ok)
		require.True(t, c.isShut(d))
		require.False(t, try(done), "one is on its way")
		e.leave(to, time.Now(), p, failingWith(wire.Canceled))
		require.False(t, c.isShut(d))
		require.True(t, try(failingWith(wire.Internal)))
		require.False(t, try(done), "it failed: another pause")
		time.Sleep(Usual.Pause + 1)
		require.True(t, try(done))
		require.Nil(t, e.breakers.Load())
	})
}

// Calls that began before a breaker opened neither close it, nor keep it open when it tries.
func TestOldCallsDoNotCountForAnOpenBreaker(t *testing.T) {
	onExperience(t, func(t *testing.T, e *experience, to tripping, try func(Ending) bool) {
		first, _ := e.enter(&Usual, HeedAll)
		second, _ := e.enter(&Usual, HeedAll)
		require.True(t, try(failingWith(wire.Internal)))
		third, _ := e.enter(&Usual, HeedAll)
		for range Usual.Failures - 1 {
			try(failingWith(wire.Internal))
		}
		e.leave(to, time.Now(), first, done)
		require.False(t, try(done))
		time.Sleep(Usual.Pause + 1)
		e.leave(to, time.Now(), second, failingWith(wire.Internal))
		e.leave(to, time.Now(), third, failingWith(wire.Internal))
		require.True(t, try(done))
	})
}

// A breaker that nobody tries any more counts as closed after a minute.
func TestForgottenBreakersAreForgiven(t *testing.T) {
	onExperience(t, func(t *testing.T, e *experience, to tripping, try func(Ending) bool) {
		to.record.experiences = map[string]*experience{"f": e}
		openBreaker(t, try)
		require.Equal(t, []string{"f"}, to.record.OpenCircuits(time.Now()))
		time.Sleep(Forgiven - 1)
		require.Equal(t, []string{"f"}, to.record.OpenCircuits(time.Now()), "also while it would let one try")
		time.Sleep(time.Nanosecond)
		require.Empty(t, to.record.OpenCircuits(time.Now()))
		require.True(t, try(failingWith(wire.Internal)))
		require.True(t, try(done))
	})
}

// "Of one function at one provider the breakers of 8 policies are kept, those that failed last."
func TestTheBreakerThatFailedLongestAgoGivesWay(t *testing.T) {
	e, to, began := &experience{}, tripping{new(Record), &Circuits{Wake: func() {}}}, time.Now()
	policies := make([]Policy, breakersMost+1)
	fail := func(i int, after time.Duration) {
		policies[i] = Policy{Failures: 9, Window: time.Second, Pause: time.Duration(1 + i)}
		e.leave(to, began.Add(after), permit{under: &policies[i]}, failingWith(wire.Internal))
	}
	for i := range breakersMost {
		fail(i, time.Duration(i)*time.Second)
	}
	fail(0, time.Minute)
	require.False(t, to.news.Changed.Load())
	fail(breakersMost, 2*time.Minute)
	require.True(t, to.news.Changed.Load(), "one that may have been open is gone")
	require.NotNil(t, e.breaker(&policies[0]), "the oldest has failed again")
	require.Nil(t, e.breaker(&policies[1]))
	require.NotNil(t, e.breaker(&policies[2]))
	require.NotNil(t, e.breaker(&policies[breakersMost]))
	require.Len(t, *e.breakers.Load(), breakersMost)
}
