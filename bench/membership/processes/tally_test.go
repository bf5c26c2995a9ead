package main

import (
	"testing"
	"time"

	"broach"

	"github.com/stretchr/testify/require"
)

func TestCallsAreCountedByWhatBecameOfThem(t *testing.T) {
	var c counter
	c.add(time.Millisecond, true, nil)
	c.add(3*time.Millisecond, false, nil)
	for range 2 {
		c.add(time.Second, false, &broach.Error{Code: broach.Unreachable})
	}
	c.add(time.Microsecond, false, &broach.Error{Code: broach.NotFound, Executed: broach.No})
	got := c.take()
	require.Equal(t, 5, got.calls)
	require.Equal(t, 1, got.wrong, "a failed call has no answer that could be wrong")
	require.Equal(t, 3*time.Millisecond, got.longest)
	require.Equal(t, time.Second, got.longestFailed)
	require.Equal(t, "1 NotFound (no), 2 Unreachable (maybe)", got.failures())
	require.Equal(t, tally{}, c.take(), "each call counts in one scenario")
	require.Equal(t, "0", tally{}.failures())
}
