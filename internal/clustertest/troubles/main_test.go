// Package troubles tests what a node says: in its log when something is wrong, in its log at debug, and of itself where
// a program prints it. docs/troubles.md is the list of what is said of troubles. How lines get to a Logger is tested by
// itself in internal/logqueue.
package troubles

import (
	"testing"

	"go.uber.org/goleak"
)

// ants keeps a pool of its own from import on, whose goroutines are there before any test.
func TestMain(m *testing.M) {
	knowNoNames()
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent())
}
