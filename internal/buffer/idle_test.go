package buffer

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Memory goes back when nothing went on from one look to the next, and the looks are seldom where a collection takes
// long.
func TestIdleWatchSeesThatNothingGoesOn(t *testing.T) {
	var w Idle
	now := time.Unix(0, 0)
	a := activity{uses: 5, collections: 2}
	require.False(t, w.look(now, 0, a), "the first look knows nothing")
	require.Equal(t, now.Add(bulkIdle), w.at)
	now = w.at
	a.uses++
	require.False(t, w.look(now, 0, a), "a large message passed")
	now = w.at
	a.collections++
	require.False(t, w.look(now, 0, a), "the program collects by itself")
	now = w.at
	require.True(t, w.look(now, time.Minute, a))
	require.Equal(t, now.Add(time.Minute), w.at)
}
