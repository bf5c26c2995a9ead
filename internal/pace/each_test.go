package pace

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Each has its own share of a second, and who was there in the second before is forgotten.
func TestEachHasItsShare(t *testing.T) {
	var e Each[string]
	take := func(at time.Duration, who string, times int) (taken int) {
		for range times {
			if e.Take(time.Unix(1, 0).Add(at), who, 10) {
				taken++
			}
		}
		return taken
	}
	require.Equal(t, 10, take(0, "a", 10_000))
	require.Equal(t, 10, take(time.Second-1, "b", 20))
	require.Zero(t, take(time.Second-1, "a", 1))
	require.Len(t, e.count, 2)
	require.Equal(t, 10, take(time.Second, "a", 11), "the next second")
	require.Len(t, e.count, 1)
}
