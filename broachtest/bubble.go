package broachtest

import (
	"testing"
	"testing/synctest"
	"time"
)

// Whether a cluster is used where it was made, and what to do where it is not.

// isForeign reports whether t outlives the bubble in which we are, whose nodes would then run on in virtual time for
// ever. The T of a bubble is known by that it refuses to tell a deadline, which would be a real one.
func isForeign(t testing.TB) (is bool) {
	outer, isT := t.(*testing.T)
	if !isT || !rest() {
		return false
	}
	defer func() { is = recover() == nil }()
	outer.Deadline()
	return true
}

// enter checks that a method may be called, here and now.
func (c *Cluster) enter(op string) {
	if c.t == nil {
		panic("broachtest: " + op + ": this Cluster was not made by New")
	}
	c.t.Helper()
	c.mu.Lock()
	hasEnded := c.hasEnded
	c.mu.Unlock()
	if hasEnded { // and its t with it, which can fail no more
		panic("broachtest: " + op + ": the cluster has ended with its test")
	}
	if age := time.Since(c.made); age < 0 || age > 10*365*24*time.Hour { // a bubble's clock begins in the year 2000
		c.fail("%s: New was called in another bubble than this, or outside of it", op)
	}
}

// rest waits until all that happens at this instant has happened, so that chance has no say in what a fault still
// meets. Outside of a bubble nothing is ever at rest, and it reports false, as it does if somebody else waits so at
// the time, which the runtime does not allow twice.
func rest() (isInBubble bool) {
	defer func() { isInBubble = recover() == nil }()
	synctest.Wait()
	return true
}

// fail fails the test and ends this goroutine.
func (c *Cluster) fail(format string, args ...any) {
	c.t.Helper()
	c.t.Fatalf("broachtest: "+format, args...)
}
