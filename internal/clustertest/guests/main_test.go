// Package guests tests what those are promised who call and are no members, and what members are promised of them. Its
// clusters are real nodes on a simulated network, used through the public API.
package guests

import (
	"testing"

	"go.uber.org/goleak"
)

// ants keeps a pool of its own from import on, whose goroutines are there before any test.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent())
}
