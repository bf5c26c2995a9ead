package broach

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"time"

	"broach/internal/turn"
)

// Timer is a function that runs again and again, see Node.Every. Its methods may be called by many goroutines at once, also by
// the function itself.
type Timer struct {
	node     *Node
	function *service
	name     string // of OneOwner
	ctx      context.Context
	cancel   context.CancelFunc

	mu      sync.Mutex // protects all below: the clock, the workers, messages and Stop meet here
	plan    turn.Plan
	clock   *time.Timer // calls fire
	running bool        // a run waits for a worker, or goes on
	stopped bool
	telling bool        // somebody is telling the others
	untold  *turnNotice // what is to be told next
}

// Every runs fn every d, at least 10 ms, in this process: the first time after d, then on a grid of d, each time late by a small random
// part, see Jitter. With OneOwner, only one node of the cluster does so. Runs do not overlap: one that would begin while the one before
// goes on is left out, as are those that were missed while the process was stopped, or that the workers have no room for.
//
// fn is a func() or a func(context.Context), either with or without an error as its result. The context ends with the timer or the node.
// An error is logged. A panic is logged too, and ends that run only. fn runs on a worker of the pool, as functions that are called do;
// Leave waits for it.
//
// A wrong period, fn or option is an InvalidArgument, more than 10,000 timers are TooLarge, and a closed or leaving node returns ErrClosed.
func (n *Node) Every(d time.Duration, fn any, opts ...TimerOption) (*Timer, error) {
	o, err := timerOptionsOf(d, opts)
	if err != nil {
		return nil, Errorf(InvalidArgument, "every %v: %w", d, err)
	}
	f, err := timerFunction(fn)
	if err != nil {
		return nil, Errorf(InvalidArgument, "every %v: %w", d, err)
	}
	t := &Timer{node: n, function: f, name: o.name}
	t.plan = turn.Plan{Self: n.process.Boot, Every: d, Jitter: o.jitter, Shared: o.shared}
	t.ctx, t.cancel = context.WithCancel(n.provider.ctx)
	if err := n.timetable.add(t); err != nil {
		t.cancel()
		return nil, err
	}
	if err := t.announce(); err != nil {
		t.Stop()
		return nil, err
	}
	t.start(time.Now())
	return t, nil
}

// timerFunction checks what a timer is to run.
func timerFunction(fn any) (*service, error) {
	if v := reflect.ValueOf(fn); v.Kind() == reflect.Func && v.IsNil() {
		return nil, fmt.Errorf("the function is nil")
	}
	f, err := newService("timer", fn)
	if err != nil || f.Parameters() > 0 || f.Results() > 0 {
		return nil, fmt.Errorf("a timer runs a func() or func(context.Context), with or without an error as its result, not %T", fn)
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

// Stop ends the timer: no run begins after it returns. One that has begun goes on, but its context ends. A timer with OneOwner goes on
// on another node that has it. Stop may be called again.
func (t *Timer) Stop() {
	if t.halt() {
		t.cancel()
		t.withdraw()
		t.node.timetable.remove(t)
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

// IsOwner reports whether the runs are this node's: without OneOwner always, with it if this node has been chosen among those that
// it knows to have the timer now. It is false once the timer has been stopped.
func (t *Timer) IsOwner() bool { return !t.isStopped() && t.order()[0] == t.plan.Self }
