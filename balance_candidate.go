package broach

import (
	"time"

	"broach/internal/link"
)

// candidate is a provider that a call could go to.
type candidate struct {
	link   *link.Link // nil: this node itself
	record *record    // of the provider
	weight int
	known  *experience // from the first call on; nil for this node itself
}

// know finds out what is known of a function there.
func (d *candidate) know(service string, now time.Time) {
	d.known = d.record.experienceOf(service, now)
}

// latency is how long the function takes there of late; 0: not known.
func (d *candidate) latency() time.Duration {
	if d.known == nil {
		return 0
	}
	return time.Duration(d.known.latency.Load())
}

// isShut reports whether no call may go to a provider now.
func (d candidate) isShut() bool {
	if d.known == nil {
		return false
	}
	b := d.known.breaker.Load()
	return b != nil && b.isShut()
}
