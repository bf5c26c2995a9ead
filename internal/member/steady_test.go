package member

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Three times in more than a minute are no flapping.
func TestFlaps(t *testing.T) {
	start := time.Unix(0, 0)
	for _, c := range []struct {
		at       []time.Duration // since start
		unsteady bool
	}{
		{[]time.Duration{0, time.Second}, false},
		{[]time.Duration{0, time.Second, flapsWithin}, true},
		{[]time.Duration{0, time.Second, flapsWithin + 1}, false},
		{[]time.Duration{0, flapsWithin, flapsWithin + 1, flapsWithin + 2}, true},
	} {
		var p peer
		for _, d := range c.at {
			p.flap(start.Add(d))
		}
		require.Equal(t, c.unsteady, p.isUnsteady(), "%v", c.at)
		require.Equal(t, !c.unsteady, p.steadyAt().IsZero())
	}
}
