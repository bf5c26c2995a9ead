package link

import "time"

// Bounds of the retransmission time, PROTOCOL.md [CALL-9].
const (
	ackDelay = 5 * time.Millisecond  // a provider acknowledges what it has not answered by then
	minRTO   = 10 * time.Millisecond // twice ackDelay: a reply in time must not be raced by a resend
	maxRTO   = time.Second           // a lost datagram never costs a caller more than this
	// a call with a deadline of 6 s has some 25 tries: at 20 % loss each way none fails in 10^10
	maxPace    = 250 * time.Millisecond
	initialRTO = 50 * time.Millisecond  // before the first measurement: far above any LAN, far below a deadline
	firstMost  = 700 * time.Millisecond // the same, after a handshake that took long: most of such have lost something
	minVar     = time.Millisecond       // what a scheduler adds to the steadiest network

	// Of fragments, [FRAG-5]. With minRTO instead, 3 MiB through 20 % loss took three times as long.
	minTransferRTO = 2 * time.Millisecond
)

// rtt estimates the round trip to one peer as RFC 6298 section 2 does. The zero value has measured nothing.
type rtt struct {
	smoothed  time.Duration
	variation time.Duration
	deviation time.Duration // the largest from smoothed since the variation was last lowered
	lowered   time.Time     // when that was
	// how long the link took to be made: no less than a round trip, and all that is known before the first sample
	first time.Duration
	// the longest wait for what was sent again since the last sample: new requests do not wait less
	backed time.Duration
}

// sample takes one measured round trip. A coarse clock may have measured nothing.
func (r *rtt) sample(now time.Time, d time.Duration) {
	d = max(d, 1)
	r.backed = 0
	if r.smoothed == 0 {
		r.smoothed, r.variation, r.lowered = d, d/2, now
		return
	}
	r.deviate(now, (r.smoothed - d).Abs())
	r.smoothed += (d - r.smoothed) / 8
}

// deviate raises the variation at once, and lowers it once a round trip at most: the samples of many calls that
// travelled together say no more than one.
func (r *rtt) deviate(now time.Time, by time.Duration) {
	r.deviation = max(r.deviation, by)
	if by < r.variation && now.Sub(r.lowered) < r.smoothed {
		return
	}
	r.variation += (r.deviation - r.variation) / 4
	r.deviation, r.lowered = 0, now
}

// backOff notes that a request waits for so long after it was sent again. Until a sample comes that is all that is
// known of a path that has become longer: Karn's algorithm keeps it.
func (r *rtt) backOff(pace time.Duration) { r.backed = max(r.backed, min(pace, maxRTO)) }

// doubt gives up the first measure: nothing came in that time, so the handshake took long for what it lost rather than
// for the way. It returns the pace that is doubled next, for what waited at one.
func (r *rtt) doubt(pace time.Duration) time.Duration {
	if r.first > 0 && r.smoothed == 0 {
		pace = 0
	}
	r.first = 0
	return max(pace, r.measured())
}

// timeout is how long to wait for a sign before a request is sent again for the first time.
func (r *rtt) timeout() time.Duration { return max(r.measured(), r.backed) }

// measured is what the samples alone say of that.
func (r *rtt) measured() time.Duration { return r.within(ackDelay, minRTO) }

// transferTimeout is the same for fragments, which are acknowledged without delay.
func (r *rtt) transferTimeout() time.Duration { return r.within(0, minTransferRTO) }

// within is the retransmission time for a peer that answers after a delay of its own, with a lower bound.
func (r *rtt) within(delay, least time.Duration) time.Duration {
	if r.smoothed == 0 {
		return min(max(initialRTO, r.first+r.first/2+delay), firstMost)
	}
	return min(max(r.smoothed+max(4*r.variation, minVar)+delay, least), maxRTO)
}
