package broach

import (
	"sync"

	"golang.org/x/sync/errgroup"
)

const (
	timersMax  = 10_000 // of a node
	tellingMax = 64     // timers whose run is being told to others at once
)

// timetable is all timers of a node. It may be used by many goroutines at once.
type timetable struct {
	telling errgroup.Group // of runs, to other nodes

	mu     sync.Mutex // protects all below: Every, Stop, Close and the loop meet here
	timers map[*Timer]bool
	shared map[string]*Timer // of them, those with OneOwner
	closed bool
}

func (s *timetable) init() {
	s.telling.SetLimit(tellingMax)
	s.timers, s.shared = make(map[*Timer]bool), make(map[string]*Timer)
}

// add takes up a timer.
func (s *timetable) add(t *Timer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed || t.node.isClosed():
		return ErrClosed
	case len(s.timers) == timersMax:
		return Errorf(TooLarge, "a node has at most %d timers", timersMax)
	case t.plan.Shared && s.shared[t.name] != nil:
		return Errorf(InvalidArgument, "every %v: this node has a timer %q already", t.plan.Every, t.name)
	}
	s.timers[t] = true
	if t.plan.Shared {
		s.shared[t.name] = t
	}
	return nil
}

// remove gives a timer up that has been stopped.
func (s *timetable) remove(t *Timer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.timers, t)
	if s.shared[t.name] == t {
		delete(s.shared, t.name)
	}
}

// look makes the timers look whose turn it is.
func (s *timetable) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.shared {
		t.look()
	}
}

// close stops all timers. Runs that have begun go on, with their contexts.
func (s *timetable) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for t := range s.timers {
		t.halt()
	}
}
