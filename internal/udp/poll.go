package udp

import "time"

// Where two processes take turns, most of a round trip is spent in waking up the one whose turn it is. A reader that
// looks again and again for some microseconds before it sleeps saves that, and processor time as well, so long as what
// it waits for mostly comes in time: measured between two processes, 4.5 times the calls with one caller, 1.5 with 16,
// 1.15 with 64, and no fewer while others keep all processors busy. Linux does the same for idle virtual processors
// (halt_poll_ns of KVM).

const (
	// how long a reader polls; half of that is too short for two that are both asleep
	pollFor     = 100 * time.Microsecond
	pollWorth   = 2 * pollFor // a wait asleep that was no longer might have been within pollFor
	pollTrust   = 16          // the most that successes earn
	pollPenalty = 3           // successes that one failure costs: polling pays if 3 of 4 succeed
	pollPause   = 256         // waits without polling, at most, before it is tried again
)

// patience says whether polling has paid of late. Its zero value polls once the first wait was short.
type patience struct {
	short bool // the last wait was
	trust int  // from 0, where polling stops, to pollTrust
	pause int  // how many short waits polling stops for, each time twice as many
	rest  int  // of the present pause
}

// polls reports whether to poll before the next sleep.
func (p *patience) polls() bool { return p.short && p.rest == 0 }

// note takes how long a wait was, polling included.
func (p *patience) note(took time.Duration, polled bool) {
	p.short = took < pollWorth
	switch {
	case polled && took < pollFor:
		p.succeeded()
	case polled:
		p.failed()
	case p.short && p.rest > 0:
		p.rest--
	}
}

func (p *patience) succeeded() {
	if p.trust++; p.trust >= pollTrust {
		p.trust, p.pause = pollTrust, 0
	}
}

func (p *patience) failed() {
	if p.trust -= pollPenalty; p.trust <= 0 {
		p.pause = min(max(2*p.pause, 2), pollPause)
		p.trust, p.rest = 0, p.pause
	}
}
