package balance

import (
	"time"

	"broach/internal/link"
)

// Candidate is a provider that a call could go to.
type Candidate struct {
	Link   *link.Link // nil: this node itself
	Record *Record    // of the provider
	Weight int
	// of the function there: who refuses the arguments says nothing of those that offer it with another
	Signature string
	Table     uint32      // of whose rows it is: the version of the provider's table
	known     *experience // from the first call on; nil for this node itself
}

// Know finds out what is known of a function there.
func (d *Candidate) Know(service string, now time.Time) {
	d.known = d.Record.experienceOf(service, now)
}

// Latency is how long the function takes there of late; 0: not known.
func (d *Candidate) Latency() time.Duration {
	if d.known == nil {
		return 0
	}
	return time.Duration(d.known.latency.Load())
}
