package broach

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"broach/internal/turn"
)

// Timer is a function that runs again and again, see Node.Every. Its methods may be called by many goroutines at once,
// also by the function itself.
type Timer struct {
	node     *Node
	function *service
	name     string // of OneOwner
	ctx      context.Context
	cancel   context.CancelFunc
	came     time.Duration // the present run was due, by the clock of the provider: of whoever has it in hand
	trace    *serveTrace   // of the present run, likewise; nil: nobody is told of it

	mu      sync.Mutex // protects all below: the clock, the workers, messages and Stop meet here
	plan    turn.Plan
	clock   *time.Timer // calls fire
	running bool        // a run waits for a worker, or goes on
	stopped bool
	telling bool        // somebody is telling the others
	untold  *turnNotice // what is to be told next
}

// Every runs fn every d, at least 10 ms, in this process: the first time after d, then on a grid of d, each time late
// by a small random part, see Jitter. With OneOwner, only one node of the cluster does so. Runs do not overlap: one
// that would begin while the one before goes on is left out, as are those missed while the process was stopped, or when
// the workers had no room.
//
// fn is a func() or a func(context.Context), either with or without an error as its result. The context ends with the
// timer or the node. An error is logged. A panic is logged too, and ends that run only. fn runs on a worker of the
// pool, as functions that are called do; Leave waits for it.
//
// A wrong period, fn or option is an InvalidArgument, more than 10,000 timers are TooLarge, and a closed or leaving
// node returns ErrClosed.
func (n *Node) Every(d time.Duration, fn any, opts ...TimerOption) (*Timer, error) {
	if err := n.asMember("every", d.String()); err != nil {
		return nil, err
	}
	o, err := timerOptionsOf(d, opts)
	if err != nil {
		return nil, refused(InvalidArgument, "every %v: %w", d, err)
	}
	f, err := timerFunction(fn)
	if err != nil {
		return nil, refused(InvalidArgument, "every %v: %w", d, err)
	}
	t := &Timer{node: n, function: f, name: o.name}
	t.plan = turn.Plan{Self: n.linking.wires.Process.Boot, Every: d, Jitter: o.jitter, Shared: o.shared}
	t.ctx, t.cancel = context.WithCancel(n.serving.provider.ctx)
	if err := n.serving.timetable.addTimer(t); err != nil {
		t.cancel()
		return nil, err
	}
	if err := t.announce(); err != nil {
		t.Stop()
		return nil, err
	}
	f.counts = n.tallies.timers.Cell(t.name)
	t.start(time.Now())
	return t, nil
}

// timerFunction checks what a timer is to run.
func timerFunction(fn any) (*service, error) {
	if v := reflect.ValueOf(fn); v.Kind() == reflect.Func && v.IsNil() {
		return nil, fmt.Errorf("the function is nil")
	}
	f, err := newService("timer", fn)
	if err != nil || f.Parameters() > 0 || f.Results() > 0 || f.Streams() {
		return nil, fmt.Errorf("a timer runs a func() or func(context.Context), with or without an error as its"+
			" result, not %T", fn)
	}
	return f, nil
}

// start sets the clock.
func (t *Timer) start(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped {
		return
	}
	t.plan.Due, t.plan.Late = now.Add(t.plan.Every), t.lateness()
	t.clock = time.AfterFunc(t.plan.Every+t.plan.Late, t.fire)
}

// lateness draws the jitter of a run.
func (t *Timer) lateness() time.Duration {
	if t.plan.Jitter == 0 {
		return 0
	}
	return time.Duration(t.node.draw() >> 1 % uint64(t.plan.Jitter))
}

// Stop ends the timer: no run begins after it returns. One that has begun goes on, but its context ends. A timer with
// OneOwner goes on on another node that has it. Stop may be called again.
func (t *Timer) Stop() {
	if t.halt() {
		t.cancel()
		t.withdraw()
		t.node.serving.timetable.removeTimer(t)
	}
}

// halt lets no more runs begin. It reports whether this is news.
func (t *Timer) halt() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped {
		return false
	}
	t.stopped = true
	if t.clock != nil {
		t.clock.Stop()
	}
	return true
}

// isStopped reports whether no more runs may begin.
func (t *Timer) isStopped() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stopped
}

// IsOwner reports whether the runs are this node's: without OneOwner always, with it if this node has been chosen among
// those that it knows to have the timer now. It is false once the timer has been stopped.
func (t *Timer) IsOwner() bool { return !t.isStopped() && t.order()[0] == t.plan.Self }

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

// addTimer takes up a timer.
func (s *timetable) addTimer(t *Timer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed || t.node.isClosed():
		return ErrClosed
	case len(s.timers) == timersMax:
		return refused(TooLarge, "a node has at most %d timers", timersMax)
	case t.plan.Shared && s.shared[t.name] != nil:
		return refused(InvalidArgument, "every %v: this node has a timer %q already", t.plan.Every, t.name)
	}
	s.timers[t] = true
	if t.plan.Shared {
		s.shared[t.name] = t
	}
	return nil
}

// removeTimer gives a timer up that has been stopped.
func (s *timetable) removeTimer(t *Timer) {
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

const (
	jitterUnsaid     = -1
	jitterShare      = 20 // of the period, unless Jitter says something else
	timerNameMax     = maxName - len(timerPrefix)
	timerPrefix      = "\x00c" // before a name, in the service table
	timerPeriodLeast = 10 * time.Millisecond
)

// TimerOption says more about a timer of Node.Every.
type TimerOption func(*timerOptions)

type timerOptions struct {
	name   string // of OneOwner
	shared bool   // OneOwner was said
	jitter time.Duration
	wrong  []error // mistakes in its options
}

// OneOwner makes one node in the whole cluster run the timer: one of those that have a timer of this name. All of them
// agree who that is, and their periods should be the same. When the owner leaves or dies, which is noticed within about
// a second, another goes on: d after the last run, or as soon as that is noticed. A node that comes may become the
// owner; the run in between is done by the old one.
//
// That is no lock: while the cluster is cut in two, each part has an owner, and a run of a node that leaves, is cut
// off, or was stopped for a while may overlap with its successor's. The name has 198 bytes at most and is no other
// timer's of this node, else it is an InvalidArgument; a function may have it.
func OneOwner(name string) TimerOption {
	return func(o *timerOptions) {
		o.name, o.shared = name, true
		if err := checkWord("name of the timer", name, timerNameMax); err != nil {
			o.wrong = append(o.wrong, err)
		}
	}
}

// Jitter makes each run late by a random time below most, so that many instances do not fire at once: from 0, which is
// none, to the period. Without it most is a twentieth of the period.
func Jitter(most time.Duration) TimerOption {
	return func(o *timerOptions) {
		if o.jitter = most; most < 0 {
			o.wrong = append(o.wrong, fmt.Errorf("the Jitter is %v, must not be negative", most))
		}
	}
}

// timerOptionsOf takes the options of a timer up.
func timerOptionsOf(d time.Duration, opts []TimerOption) (timerOptions, error) {
	o := timerOptions{jitter: jitterUnsaid}
	if err := applyEach(opts, &o); err != nil {
		o.wrong = append(o.wrong, err)
	}
	switch {
	case d < timerPeriodLeast:
		o.wrong = append(o.wrong, fmt.Errorf("the period must be %v or more", timerPeriodLeast))
	case o.jitter == jitterUnsaid:
		o.jitter = d / jitterShare
	case o.jitter > d:
		o.wrong = append(o.wrong, fmt.Errorf("the Jitter is %v, must not be more than the period", o.jitter))
	}
	return o, errors.Join(o.wrong...)
}
