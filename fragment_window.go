package broach

import "time"

const (
	firstWindow = 32
	minWindow   = 16

	// maxWindow is what one acknowledgement can speak of: a single transfer cannot use more.
	maxWindow = fragmentSpan
)

// A sendWindow says how many fragments may be in flight on a link, [FRAG-6].
type sendWindow struct {
	size   int
	credit int  // acknowledged since the window last grew; counts after the first loss only
	lossy  bool // a fragment was lost: growth is additive from now on
}

// grow is called for each fragment that is acknowledged.
func (w *sendWindow) grow() {
	w.credit++
	if w.lossy && w.credit < w.size {
		return
	}
	w.credit = 0
	w.size = min(w.size+1, maxWindow)
}

// halve is called at a loss, at most once per round trip.
func (w *sendWindow) halve() {
	*w = sendWindow{size: max(w.size/2, minWindow), lossy: true}
}

// collapse is called when a halved window was not heard of either.
func (w *sendWindow) collapse() {
	*w = sendWindow{size: minWindow, lossy: true}
}

// A reach says how far one transfer may get ahead of its first fragment that has not been acknowledged, [FRAG-13]. A window that
// finds no loss ends up in the socket of the receiver, and whatever small comes behind it waits for all of it. Several transfers
// together may fill the window. The zero value knows no round trip.
type reach struct{ least time.Duration } // shortest round trip

const (
	reachLeast = 192              // with half of it, the two ends wait for each other: 0.8 of the speed on loopback
	reachFor   = time.Millisecond // the round trip for which it is enough at 270 MB/s
)

// measure takes a round trip. The shortest is forgotten slowly: a path may become longer.
func (r *reach) measure(roundTrip time.Duration) {
	if r.least == 0 || roundTrip <= r.least {
		r.least = roundTrip
		return
	}
	r.least += min(r.least>>10+1, roundTrip-r.least)
}

// fragments is the reach.
func (r *reach) fragments() uint32 {
	return uint32(min(max(reachLeast*r.least/reachFor, reachLeast), fragmentSpan))
}
