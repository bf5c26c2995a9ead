package link

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// epoch is when tests begin that make their own time.
var epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// [CALL-9] srtt + max(4 rttvar, 1 ms) as in RFC 6298, plus the 5 ms of `[CALL-4]`: at least 10 ms, at most 1 s.
// Before the first measurement the time is one and a half times what the handshake took, plus these 5 ms: at least 50
// ms, at most 700.
func TestRetransmissionTime(t *testing.T) {
	var r rtt
	now := epoch
	sample := func(d time.Duration) {
		now = now.Add(time.Second)
		r.sample(now, d)
	}
	require.Equal(t, 50*time.Millisecond, r.timeout())
	r.first = 200 * time.Millisecond
	require.Equal(t, 305*time.Millisecond, r.timeout())
	r.first = time.Hour
	require.Equal(t, 700*time.Millisecond, r.timeout())
	sample(100 * time.Millisecond) // srtt 100, rttvar 50
	require.Equal(t, 305*time.Millisecond, r.timeout())
	sample(60 * time.Millisecond) // rttvar 3/4 of 50 + 40/4 = 47.5; srtt 7/8 of 100 + 60/8 = 95
	require.Equal(t, 290*time.Millisecond, r.timeout())
	for range 100 {
		sample(100 * time.Microsecond)
	}
	require.Equal(t, minRTO, r.timeout())
	require.Equal(t, minTransferRTO, r.transferTimeout())
	sample(time.Hour)
	require.Equal(t, maxRTO, r.timeout())
}

// [CALL-9] rttvar falls once in a round trip at most, however many calls travel together.
func TestManySamplesOfOneRoundTripAreOne(t *testing.T) {
	var r rtt
	now := epoch
	for i := range 40 {
		d := 100 * time.Millisecond
		if i%2 == 1 {
			d += 20 * time.Millisecond
		}
		for range 20 {
			r.sample(now, d)
		}
		now = now.Add(d)
	}
	require.Greater(t, r.timeout(), 130*time.Millisecond)
}

// [CALL-9] Until the next measurement no new Request waits for less than the ones that were sent again since the last.
func TestABackedOffTimeIsKept(t *testing.T) {
	var r rtt
	now := epoch
	r.sample(now, time.Millisecond)
	r.backOff(160 * time.Millisecond)
	r.backOff(80 * time.Millisecond)
	require.Equal(t, 160*time.Millisecond, r.timeout())
	require.Equal(t, minRTO, r.measured())
	r.sample(now, 2*time.Millisecond)
	require.Less(t, r.timeout(), 20*time.Millisecond)
	r.backOff(time.Hour)
	require.Equal(t, maxRTO, r.timeout())
}

// [CALL-9] Where a Request is sent again before there is a measurement, something was lost. So what the handshake took
// is given up, and the time is 50 ms.
func TestAHandshakeThatTookLongIsDoubted(t *testing.T) {
	r := rtt{first: 300 * time.Millisecond}
	require.Equal(t, 455*time.Millisecond, r.timeout())
	require.Equal(t, initialRTO, r.doubt(r.timeout()))
	require.Equal(t, 100*time.Millisecond, r.doubt(100*time.Millisecond), "it is given up once")

	r = rtt{first: 300 * time.Millisecond}
	r.sample(epoch, 20*time.Millisecond)
	require.Equal(t, time.Second, r.doubt(time.Second), "there is a measurement")
}
