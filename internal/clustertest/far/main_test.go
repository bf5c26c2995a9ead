// Package far tests calls and transfers over far, slow and lossy paths, of up to a second there and back.
package far

import (
	"testing"

	"go.uber.org/goleak"
)

// ants keeps a pool of its own from import on, whose goroutines are there before any test.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent())
}
