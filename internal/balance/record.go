package balance

import (
	"sync"
	"sync/atomic"
	"time"

	"broach/internal/link"
)

// Record is what we know of a peer process beyond one link: both links of a pair, and all that come after them, share
// it.
type Record struct {
	Traffic  link.Traffic
	Inflight atomic.Int32 // our calls to it, for the balancer
	Draining atomic.Bool  // it wants no more calls
	tripped  atomic.Bool  // the breaker of a function may be open

	mu          sync.Mutex             // protects experiences: calls on any of the links look them up, and make them
	experiences map[string]*experience // by function, of those called
}

// experienceOf finds what is known of a function at the peer.
func (r *Record) experienceOf(service string, now time.Time) *experience {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.experiences[service]
	if e == nil {
		if r.experiences == nil {
			r.experiences = make(map[string]*experience)
		}
		e = &experience{since: now}
		r.experiences[service] = e
	}
	return e
}
