package member

import "time"

// A member that goes and comes back again and again, because its processor is starved or its network is, is in use
// whenever it happens to be there: each time some calls are lost with it. So it is shown as unsteady and called last,
// [MEM-24].

const (
	flapsMax    = 3
	flapsWithin = time.Minute
	steadyAfter = 30 * time.Second
)

// flaps are the last times that a peer went offline, the latest first.
type flaps [flapsMax]time.Time

func (f *flaps) add(now time.Time) {
	copy(f[1:], f[:])
	f[0] = now
}

// tooMany reports whether they make a peer unsteady.
func (f *flaps) tooMany() bool {
	first := f[flapsMax-1]
	return !first.IsZero() && f[0].Sub(first) <= flapsWithin
}

// steadyAt is when an unsteady peer may be trusted again; zero: it is steady.
func (p *peer) steadyAt() time.Time {
	if !p.unsteady {
		return time.Time{}
	}
	return p.flaps[0].Add(steadyAfter)
}

// flap notes that a peer went offline.
func (p *peer) flap(now time.Time) {
	if p.flaps == nil {
		p.flaps = new(flaps)
	}
	p.flaps.add(now)
	p.unsteady = p.flaps.tooMany()
}
