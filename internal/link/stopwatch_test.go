package link

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// [CALL-18] The answer to such a Probe is a measurement; of the newest eight each may be answered.
func TestStopwatch(t *testing.T) {
	var s stopwatch
	now := epoch
	_, ok := s.stop(now, 0)
	require.False(t, ok, "nothing was begun")
	for id := range uint32(10) {
		require.Equal(t, id+1, s.start(now.Add(time.Duration(id)*time.Millisecond), id+1).ID)
	}
	now = now.Add(20 * time.Millisecond)
	for _, id := range []uint32{1, 2, 11} {
		_, ok = s.stop(now, id)
		require.False(t, ok, "%d is forgotten, or was never sent", id)
	}
	roundTrip, ok := s.stop(now, 5)
	require.True(t, ok)
	require.Equal(t, 16*time.Millisecond, roundTrip)
	_, ok = s.stop(now, 5)
	require.False(t, ok, "it is answered once")
}

// [CALL-18] no two within half a retransmission time
func TestStopwatchIsSparing(t *testing.T) {
	var s stopwatch
	now := epoch
	require.True(t, s.isDue(now, time.Second))
	s.start(now, 1)
	require.False(t, s.isDue(now.Add(time.Second/2-1), time.Second))
	require.True(t, s.isDue(now.Add(time.Second/2), time.Second))
}
