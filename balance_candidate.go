package broach

import (
	"time"

	"broach/internal/link"
)

// candidate is a provider that a call could go to.
type candidate struct {
	Link   *link.Link // nil: this node itself
	Record *record    // of the provider
	Weight int
	known  *experience // from the first call on; nil for this node itself
}

// Know finds out what is known of a function there.
func (d *candidate) Know(service string, now time.Time) {
	d.known = d.Record.experienceOf(service, now)
}

// Latency is how long the function takes there of late; 0: not known.
func (d *candidate) Latency() time.Duration {
	if d.known == nil {
		return 0
	}
	return time.Duration(d.known.latency.Load())
}

// IsShut reports whether no call may go to a provider now.
func (d candidate) IsShut() bool {
	if d.known == nil {
		return false
	}
	b := d.known.breaker.Load()
	return b != nil && b.isShut()
}
