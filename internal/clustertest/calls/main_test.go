// Package calls tests what callers are promised: forms and options of calls, retries, hedges, breakers, interceptors,
// what overload and cancellation do. Its clusters are real nodes on a simulated network, used through the public API.
package calls

import (
	"testing"

	"go.uber.org/goleak"
)

// ants keeps a pool of its own from import on, whose goroutines are there before any test.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent())
}
