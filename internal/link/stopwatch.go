package link

import (
	"time"

	"broach/internal/wire"
)

// A stopwatch measures the round trip by Probes that go with what is sent again: the answer to a Request that went
// twice does not say which of the two it answers, that to a Probe does, [CALL-18]. The zero value is ready. It belongs
// to a link and is stepped under its mutex.
type stopwatch struct {
	begun [8]lap // the newest, in no order; an id of 0 is none
	next  int    // of begun
	last  time.Time
}

// A lap is a Probe that was not answered yet.
type lap struct {
	id uint32
	at time.Time
}

// isDue says whether another Probe is of use: half a retransmission time after the last at the earliest, however many
// callers send again.
func (s *stopwatch) isDue(now time.Time, rto time.Duration) bool { return now.Sub(s.last) >= rto/2 }

// start returns a Probe to be sent now.
func (s *stopwatch) start(now time.Time, id uint32) wire.Probe {
	s.begun[s.next], s.last = lap{id, now}, now
	s.next = (s.next + 1) % len(s.begun)
	return wire.Probe{ID: id}
}

// stop takes the answer to a Probe. It returns the round trip if that is one of the newest.
func (s *stopwatch) stop(now time.Time, id uint32) (roundTrip time.Duration, ok bool) {
	for i, l := range s.begun {
		if id != 0 && l.id == id {
			s.begun[i].id = 0
			return now.Sub(l.at), true
		}
	}
	return 0, false
}
