package broach

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"broach/internal/balance"
	"broach/internal/codec"
	"broach/internal/pace"
	"broach/internal/pool"
	"broach/internal/turn"
	"broach/internal/wire"
)

// A timerRun is a timer as the pool's job: it is offered when it is due, and not again before that run has ended. It is
// a type of its own since the methods of a job would be part of what users see of a Timer.
type timerRun struct{ *Timer }

// noArguments are those of a timer's function.
var noArguments = []byte{0x90}

// fire is called by the clock, when the timer is due or when it may have become this node's turn. It runs no user code.
func (t *Timer) fire() {
	now := time.Now()
	if !t.takeTurn(now) {
		return
	}
	t.came = t.node.serving.provider.at(now)
	if t.node.serving.pool.Offer(timerRun{t}) != pool.Accepted {
		t.function.counts.Refuse(t.came, 0, uint32(Overloaded))
		t.finish()
		return
	}
	t.node.serving.pool.Kick()
}

// takeTurn sees whether it is time and this node's turn, sets the clock to when to look again, and reports whether a
// run is to begin.
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
	if v := t.node.calling.view.Load(); t.plan.Shared && len(order) == 1 && !v.joined {
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
func (t timerRun) Run(now time.Time) (ended time.Time) {
	if !t.isStopped() {
		_, err := t.function.invoke(t.begin(now), noArguments, nil, nil)
		t.end(err)
		t.logError(err)
	}
	t.finish()
	return ended
}

// begin and end count a run and tell the Tracer of it.
func (t *Timer) begin(now time.Time) (with context.Context) {
	at := t.node.serving.provider.at(now)
	t.function.counts.Serve(at, at-t.came)
	return t.startTrace(at)
}

func (t *Timer) end(failed *Error) {
	at := t.node.serving.provider.at(time.Now())
	t.function.counts.End(at, at-t.came, failed.code())
	s := t.trace
	t.trace = nil
	s.end(&t.node.serving.provider, failed)
}

// finish ends a run, or one that did not find a worker. Once it has let go of mu the timer may be in the pool again:
// who calls it does so last.
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
	if suppressed, ok := t.node.serving.provider.losses.Allow(time.Now()); ok {
		t.node.log.Warn("broach: a timer failed", "every", t.plan.Every, "name", t.name, "code", err.Code,
			"err", err.Message, "suppressed", suppressed)
	}
}

// Failed ends a run whose function panicked or ended its goroutine.
func (t timerRun) Failed(v any, stack []byte) {
	t.end(&Error{Code: Internal, Executed: Yes, Message: "the function of a timer panicked"})
	if suppressed, ok := t.node.serving.provider.panics.Allow(time.Now()); ok {
		t.node.log.Error("broach: timer panicked", "every", t.plan.Every, "name", t.name,
			"panic", wire.Shortened(fmt.Sprint(v)), "stack", string(stack), "suppressed", suppressed)
	}
	t.finish()
}

// Expired reports false: a run that was stopped ends by itself.
func (timerRun) Expired(time.Time) bool { return false }

// Shed and reject end a run that does not come.
func (t timerRun) Shed()   { t.finish() }
func (t timerRun) Reject() { t.finish() }

// A timer with OneOwner is known to the others by a row of the service table; the function of that row takes Turn,
// PROTOCOL.md 5.2.

// turnTimeout is how long the others have to accept the news. What is newer waits that long.
const turnTimeout = 250 * time.Millisecond

// turnNotice is what is to be told of this node's last run.
type turnNotice struct {
	next  time.Time // a period after it
	over  bool
	heirs []uint64
}

// service is the name of the timer's row.
func (t *Timer) service() string { return timerPrefix + t.name }

// announce offers the row.
func (t *Timer) announce() error {
	if !t.plan.Shared {
		return nil
	}
	f, err := planService(t.service(), t.hear)
	if err != nil {
		panic("broach: internal error: " + err.Error())
	}
	return t.node.change(func() (bool, error) { return t.node.serving.offered.addFunction(f.name, f) })
}

// withdraw takes the row back.
func (t *Timer) withdraw() {
	if t.plan.Shared { // what it fails of, a closed node or a row that was not added, leaves nothing to do
		_ = t.node.change(func() (bool, error) { return t.node.serving.offered.removeFunction(t.service()) })
	}
}

// order is all who have the timer and can be called, suspects too, the owner first. It depends on name and addresses
// alone.
func (t *Timer) order() []uint64 {
	if !t.plan.Shared {
		return []uint64{t.plan.Self}
	}
	type ranked struct{ score, node uint64 }
	v := t.node.calling.view.Load()
	all := []ranked{{balance.Rendezvous(t.name, v.self), t.plan.Self}}
	for _, d := range v.routes.get(t.service()).candidates() {
		all = append(all, ranked{balance.Rendezvous(t.name, d.Link.ID.Addr), d.Link.ID.Hash()})
	}
	slices.SortFunc(all, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(b.node, a.node))
	})
	nodes := make([]uint64, len(all))
	for i := range all {
		nodes[i] = all[i].node
	}
	return nodes
}

// look makes the timer see whose turn it is, because the view is another.
func (t *Timer) look() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.clock != nil && !t.stopped {
		t.clock.Reset(0)
	}
}

// hear takes Turn from another node, [TMR-3]. It only moves the next run: by a period at most, and not that of an owner
// that runs itself.
func (t *Timer) hear(ctx context.Context, since int64, over bool) {
	r, ok := ctx.Value(requestKey{}).(*request)
	if !ok {
		return // not by a call
	}
	caller, ok := r.origin.(fromPeer)
	if !ok {
		return // a call of this process
	}
	ago := min(max(since, 0), t.plan.Every.Microseconds())
	news := turn.News{Since: time.Duration(ago) * time.Microsecond, Over: over}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.clock == nil || t.stopped {
		return
	}
	if now, order := time.Now(), t.order(); t.plan.Hear(now, caller.link.ID.Hash(), news, order) {
		t.setClock(now, t.at(order))
	}
}

// tell has those told of this node's last run that are next in line, [TMR-2]. mu is held. One telling goes on at a
// time, so that what is said later arrives later; where no goroutine is left for it, it is not said.
func (t *Timer) tell(over bool) {
	if !t.plan.Shared {
		return
	}
	t.untold = &turnNotice{next: t.plan.Due, over: over, heirs: slices.Clone(t.plan.Line)}
	if !t.telling {
		t.telling = t.node.serving.timetable.telling.TryGo(t.tellAll)
	}
}

// tellAll tells what there is to tell, until there is no more.
func (t *Timer) tellAll() error {
	for notice := t.nextNotice(); notice != nil; notice = t.nextNotice() {
		var all sync.WaitGroup
		for _, heir := range notice.heirs {
			if l := t.node.linkTo(heir); l != nil {
				all.Go(func() { t.tellOne(l, notice) })
			}
		}
		all.Wait()
	}
	return nil
}

// linkTo finds the link to a node by the number that timers know it by; nil: there is none.
func (n *Node) linkTo(node uint64) *conn {
	v := n.calling.view.Load()
	for i := range v.peers {
		if p := v.peers[i]; p.Hash() == node {
			return n.linking.tokens.Link(p.Link)
		}
	}
	return nil
}

// nextNotice takes what is to be told next; nil: nothing, and the telling ends.
func (t *Timer) nextNotice() *turnNotice {
	t.mu.Lock()
	defer t.mu.Unlock()
	notice := t.untold
	t.untold, t.telling = nil, notice != nil
	return notice
}

// tellOne sends Turn. That it did not arrive is found out by what the others do.
func (t *Timer) tellOne(l *conn, notice *turnNotice) {
	now := time.Now()
	ctx, cancel := context.WithTimeout(t.node.serving.provider.ctx, turnTimeout)
	defer cancel()
	since := t.plan.Every - notice.next.Sub(now)
	args := codec.Arguments{List: []any{since.Microseconds(), notice.over}}
	p, failed := t.node.Caller(t.service()).attempt(ctx, now, l.visit(),
		&outCall{Arguments: args, deadline: now.Add(turnTimeout), oneWay: true})
	if failed == nil {
		t.node.linking.wires.FreeCall(p)
	}
}
