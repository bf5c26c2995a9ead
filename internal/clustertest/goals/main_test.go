// Package goals holds the cluster to the figures that README and PROTOCOL.md promise, and searches for what nobody
// thought of: random schedules, storms, sieges, crowds.
package goals

import (
	"testing"

	"go.uber.org/goleak"
)

// ants keeps a pool of its own from import on, whose goroutines are there before any test.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent())
}
