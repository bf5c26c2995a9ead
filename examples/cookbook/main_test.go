package cookbook

import (
	"testing"

	"go.uber.org/goleak"
)

// ants keeps a pool of its own from import on, whose goroutines are there before any test.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent())
}
