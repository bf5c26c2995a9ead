package broachtest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"broach/broachtest"
)

// Nothing here holds a speed; -v shows them.
func TestClustersAreQuick(t *testing.T) {
	for _, nodes := range []int{1, 3, 3, 10, 100} {
		start := time.Now()
		var settled time.Duration
		synctest.Test(t, func(t *testing.T) {
			c := broachtest.New(t)
			for range nodes {
				c.Start("")
			}
			began := time.Now()
			c.Settle()
			settled = time.Since(began)
		})
		t.Logf("%d nodes are up, settled and closed in %v; Settle took %v of theirs", nodes, time.Since(start), settled)
	}
}
