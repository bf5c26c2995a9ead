package broach

import (
	"fmt"
	"time"

	"broach/internal/pace"
	"broach/internal/pool"
	"broach/internal/wire"
)

// A timerRun is a timer as the pool's job: it is offered when it is due, and not again before that run has ended. It is a type of its own since
// the methods of a job would be part of what users see of a Timer.
type timerRun struct{ *Timer }

// noArguments are those of a timer's function.
var noArguments = []byte{0x90}

// fire is called by the clock, when the timer is due or when it may have become this node's turn. It runs no user code.
func (t *Timer) fire() {
	if !t.takeTurn(time.Now()) {
		return
	}
	if t.node.pool.Offer(timerRun{t}) != pool.Accepted {
		t.finish()
		return
	}
	t.node.pool.Kick()
}

// takeTurn sees whether it is time and this node's turn, sets the clock to when to look again, and reports whether a run is to begin.
func (t *Timer) takeTurn(now time.Time) (begins bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped {
		return false
	}
	order := t.order() // under mu: look comes after, if the view changes meanwhile
	at := t.at(order)
	if !at.IsZero() && !now.Before(at) {
		t.plan.Take(now, t.lateness(), order)
		begins, t.running = !t.running, true
		t.tell(false)
		at = t.at(order)
	}
	t.setClock(now, at)
	return begins
}

// at is when this node runs next. A node that seems to be alone while it joins waits until it knows better. mu is held.
func (t *Timer) at(order []uint64) time.Time {
	at := t.plan.At(order)
	if v := t.node.view.Load(); t.plan.Shared && len(order) == 1 && !v.joined {
		return pace.Later(at, v.began.Add(joinWait))
	}
	return at
}

// setClock makes the clock call at a time; zero: it is left as it is. mu is held.
func (t *Timer) setClock(now, at time.Time) {
	if !at.IsZero() {
		t.clock.Reset(at.Sub(now))
	}
}

// Run runs the function, unless the timer was stopped while the run waited for a worker.
func (t timerRun) Run() {
	if !t.isStopped() {
		_, err := t.function.invoke(t.ctx, noArguments, nil)
		t.logError(err)
	}
	t.finish()
}

// finish ends a run, or one that did not find a worker. Once it has let go of mu the timer may be in the pool again: who calls it does so last.
func (t *Timer) finish() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running = false
	if !t.plan.Shared || t.stopped {
		return
	}
	if order := t.order(); t.plan.HandOver(order) {
		t.tell(true)
		t.setClock(time.Now(), t.at(order))
	}
}

// logError tells the operator what the function returned. That a run was cut short by Stop or Close is no news.
func (t *Timer) logError(err *Error) {
	if err == nil || err.Code == Canceled && t.ctx.Err() != nil {
		return
	}
	if suppressed, ok := t.node.provider.losses.Allow(time.Now()); ok {
		t.node.log.Warn("broach: a timer failed", "every", t.plan.Every, "name", t.name, "code", err.Code, "err", err.Message, "suppressed", suppressed)
	}
}

// Failed ends a run whose function panicked or ended its goroutine.
func (t timerRun) Failed(v any, stack []byte) {
	if suppressed, ok := t.node.provider.panics.Allow(time.Now()); ok {
		t.node.log.Error("broach: timer panicked", "every", t.plan.Every, "name", t.name, "panic", wire.Shortened(fmt.Sprint(v)), "stack", string(stack), "suppressed", suppressed)
	}
	t.finish()
}

// Expired reports false: a run that was stopped ends by itself.
func (timerRun) Expired(time.Time) bool { return false }

// Shed and reject end a run that does not come.
func (t timerRun) Shed()   { t.finish() }
func (t timerRun) Reject() { t.finish() }
