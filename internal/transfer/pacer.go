package transfer

import "time"

const (
	// pacedFrom is the round trip from which on fragments are paced: on shorter ones, a window is a burst that any
	// queue holds.
	pacedFrom = 2 * time.Millisecond

	// What may go at once: as many fragments as RFC 9002 has it, but no more bytes than that means there, or as much as
	// goes until a late timer has fired.
	burstFragments = 8
	burstBytes     = 12 << 10
	burstFor       = 4 * time.Millisecond

	// paceStep is how long a sender that is paced sleeps at least, so that what goes then goes together.
	paceStep = time.Millisecond
)

// A pacer spreads fragments over time. Times are those of its flight. The zero value holds nothing back.
type pacer struct {
	free time.Duration // when all that was sent has been paid for
}

// sent takes bytes that go now, at a pace of so many a second; 0: at any.
func (p *pacer) sent(now time.Duration, bytes, fragment int, pace float64) {
	if pace == 0 {
		p.free = 0
		return
	}
	ahead := max(costOf(min(burstFragments*fragment, burstBytes), pace), burstFor)
	p.free = max(p.free, now-ahead) + costOf(bytes, pace)
}

// mayGo says whether another fragment may go now.
func (p *pacer) mayGo(now time.Duration) bool { return p.free <= now }

// next is when to ask again.
func (p *pacer) next() time.Duration { return p.free + paceStep }

// costOf is how long bytes take.
func costOf(bytes int, pace float64) time.Duration {
	return time.Duration(float64(bytes) / pace * float64(time.Second))
}
