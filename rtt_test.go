package broach

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// [CALL-9] srtt + max(4 rttvar, 1 ms) as in RFC 6298, plus the 5 ms of `[CALL-4]`, at least 10 ms and at most 1 s; 50 ms before the
// first measurement.
func TestRetransmissionTime(t *testing.T) {
	var r rtt
	require.Equal(t, 50*time.Millisecond, r.timeout())
	r.sample(100 * time.Millisecond) // srtt 100, rttvar 50
	require.Equal(t, 305*time.Millisecond, r.timeout())
	r.sample(60 * time.Millisecond) // rttvar 3/4 of 50 + 40/4 = 47.5; srtt 7/8 of 100 + 60/8 = 95
	require.Equal(t, 290*time.Millisecond, r.timeout())
	for range 100 {
		r.sample(100 * time.Microsecond)
	}
	require.Equal(t, minRTO, r.timeout())
	require.Equal(t, minTransferRTO, r.transferTimeout())
	r.sample(time.Hour)
	require.Equal(t, maxRTO, r.timeout())
}
