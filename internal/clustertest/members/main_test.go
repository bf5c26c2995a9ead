// Package members tests what users see of the membership: who is there, who is called, how a cluster comes together,
// apart and together again. The rules by themselves are tested in internal/member.
package members

import (
	"testing"

	"broach/internal/clustertest"

	"go.uber.org/goleak"
)

// ants keeps a pool of its own from import on, whose goroutines are there before any test.
func TestMain(m *testing.M) {
	clustertest.ServeNames()
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent())
}
