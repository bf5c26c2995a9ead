package broach

import "time"

// Bounds of the retransmission time, PROTOCOL.md [CALL-9].
const (
	ackDelay   = 5 * time.Millisecond   // a provider acknowledges what it has not answered by then
	minRTO     = 10 * time.Millisecond  // twice ackDelay: a reply in time must not be raced by a resend
	maxRTO     = time.Second            // a lost datagram never costs a caller more than this
	maxPace    = 250 * time.Millisecond // a call with a deadline of 6 s has some 25 tries: at 20 % loss each way none fails in 10^10
	initialRTO = 50 * time.Millisecond  // before the first measurement: far above any LAN, far below a deadline
	minVar     = time.Millisecond       // what a scheduler adds to the steadiest network

	// Of fragments, [FRAG-5]. With minRTO instead, 3 MiB through 20 % loss took three times as long.
	minTransferRTO = 2 * time.Millisecond
)

// rtt estimates the round trip to one peer as RFC 6298 section 2 does. The zero value has measured nothing.
type rtt struct {
	smoothed  time.Duration
	variation time.Duration
}

// sample takes one measured round trip. A coarse clock may have measured nothing.
func (r *rtt) sample(d time.Duration) {
	d = max(d, 1)
	if r.smoothed == 0 {
		r.smoothed, r.variation = d, d/2
		return
	}
	r.variation += ((r.smoothed - d).Abs() - r.variation) / 4
	r.smoothed += (d - r.smoothed) / 8
}

// timeout is how long to wait for a sign before a request is sent again.
func (r *rtt) timeout() time.Duration { return r.within(ackDelay, minRTO) }

// transferTimeout is the same for fragments, which are acknowledged without delay.
func (r *rtt) transferTimeout() time.Duration { return r.within(0, minTransferRTO) }

// within is the retransmission time for a peer that answers after a delay of its own, with a lower bound.
func (r *rtt) within(delay, least time.Duration) time.Duration {
	if r.smoothed == 0 {
		return initialRTO
	}
	return min(max(r.smoothed+max(4*r.variation, minVar)+delay, least), maxRTO)
}
