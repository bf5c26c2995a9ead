package broach

import (
	"context"
	"errors"
	"slices"
	"time"

	"broach/internal/balance"
	"broach/internal/link"
)

// A hedged call is made at one provider and, where that takes long, at others: see [Hedge].

// againstHedge is the error of options that leave a Hedge nobody else to ask.
func (o *callOptions) againstHedge() error {
	switch {
	case !o.hedged:
		return nil
	case o.on.IsValid():
		return errors.New("Hedge and On contradict each other")
	case o.local == LocalOnly:
		return errors.New("Hedge and Local(LocalOnly) contradict each other")
	case o.retries == 0:
		return errors.New("Hedge and NoRetry contradict each other")
	}
	return nil
}

// isHedged reports whether several providers may run a call.
func (c *Caller) isHedged(r *route, out *outCall) bool {
	if !c.opts.hedged || out.oneWay || !r.isIdempotent() {
		return false
	}
	f := c.here()
	return f == nil || f.idempotent
}

// hedge is a hedged call under way. The goroutine of its caller owns it; each attempt has one of its own, which ends
// before the call does.
type hedge struct {
	*Caller
	out     outCall
	ch      balance.Chooser
	endc    chan attempted // gets one value from each attempt
	running int            // attempts that have not ended
	skewed  int            // providers that were not asked, as they have other fields
	failed  *Error         // the last failure after which the call went on; nil: none
}

// attempted is how an attempt ended. Whoever takes it from endc has p, and frees it or hands it on.
type attempted struct {
	p      *link.Call
	failed *Error
	// of the function where it was made
	signature string
}

// hedged makes the call at one provider and, where that takes long, at others.
func (c *Caller) hedged(
	ctx context.Context, out *outCall, ch *balance.Chooser, before *Error,
) (*link.Call, *Error) {
	c.node.calling.calls.Add(1)
	h := &hedge{Caller: c, out: *out, ch: *ch, endc: make(chan attempted), failed: before}
	ctx, cancel := context.WithCancel(ctx)
	defer func() { out.attempts = h.out.attempts }() // all have ended
	defer h.clear()
	defer cancel()
	started, failed := h.start(ctx, ch.Now)
	switch {
	case started:
		return h.await(ctx)
	case before != nil:
		return nil, before
	}
	return nil, failed
}

// await waits for the first attempt that decides the call, and begins more meanwhile.
func (h *hedge) await(ctx context.Context) (*link.Call, *Error) {
	timer := time.NewTimer(h.opts.hedge)
	defer timer.Stop()
	for {
		select {
		case a := <-h.endc:
			h.running--
			if a.failed == nil || !h.goesOn(ctx, a) {
				return a.p, h.outcome(a.failed)
			}
		case <-timer.C:
			if h.widen(ctx) {
				timer.Reset(h.opts.hedge)
			}
		}
	}
}

// start asks one more provider. It reports false if there is none, and the error of a call that finds none at all.
func (h *hedge) start(ctx context.Context, now time.Time) (bool, *Error) {
	r := h.node.calling.view.Load().routes.get(h.name)
	if r == nil || !r.isIdempotent() {
		return false, h.newError(Unavailable, No, "the providers of this function have just changed")
	}
	h.ch.Now = now
	found, failed := h.choose(r, &h.ch)
	switch {
	case failed != nil:
		return false, failed
	case found == nil:
		return false, h.nobody(r)
	}
	h.ch.Tried = append(h.ch.Tried, found)
	h.running++
	go h.ask(ctx, now, h.ch.Chosen)
	return true, nil
}

// ask makes the call at one provider. It answers also if a method of the user's ends the goroutine.
func (h *hedge) ask(ctx context.Context, now time.Time, v balance.Visit) {
	a := attempted{
		failed:    h.newError(InvalidArgument, No, "the encoding of an argument ended its goroutine"),
		signature: v.Signature,
	}
	defer func() { h.endc <- a }()
	if v.Record == h.node.calling.self {
		a.p, a.failed = h.localAsOne(ctx, now, &h.out)
		return
	}
	a.p, a.failed = h.visit(ctx, now, &v, &h.out)
}

// widen asks one more provider because time has passed, or all that may be asked if that time is 0. It reports whether
// it is to be called again.
func (h *hedge) widen(ctx context.Context) bool {
	for now := time.Now(); h.mayAsk(now) && h.node.calling.retries.Spend(now, h.node.calling.calls.Load()); {
		if started, _ := h.start(ctx, now); !started {
			return false
		}
		if h.opts.hedge > 0 {
			return true
		}
	}
	return false
}

// mayAsk reports whether there is one more provider that may be asked.
func (h *hedge) mayAsk(now time.Time) bool {
	return len(h.ch.Tried)-h.skewed <= h.opts.retries && h.hasOthers() && now.Before(h.out.deadline)
}

// hasOthers reports whether there are providers that have not been asked, and that the arguments may fit. Those that
// such arguments did not fit lately are among them only where nobody else is asked now.
func (h *hedge) hasOthers() bool {
	others := h.node.calling.view.Load().routes.get(h.name).candidates()
	if self, ok := h.selfAsOne(); ok {
		others = append(others, self)
	}
	left := h.ch
	if h.running == 0 {
		left.Misfits = nil
	}
	return slices.ContainsFunc(others, func(d balance.Candidate) bool { return !left.IsOut(&d) })
}

// goesOn reports whether the call goes on after a failure, because others are still asked or one more is now.
func (h *hedge) goesOn(ctx context.Context, a attempted) bool {
	failed := a.failed
	if failed.skewed {
		h.skewed++
	}
	if r := h.node.calling.view.Load().routes.get(h.name); r != nil {
		h.learn(time.Now(), r, &h.out, &h.ch, a.signature, failed)
	}
	may, atOnce := h.isRetried(failed, true)
	if !may || ctx.Err() != nil {
		return false
	}
	h.failed = failed.asOutcome(h.failed)
	if now := time.Now(); h.mayAsk(now) && (atOnce || h.mayAdd(now, failed)) {
		_, _ = h.start(ctx, now)
	}
	return h.running > 0
}

// outcome is an error as that of the whole call: it may have run wherever else it was asked.
func (h *hedge) outcome(failed *Error) *Error {
	if failed == nil {
		return nil
	}
	failed = h.lasting(failed, true)
	if h.running > 0 {
		return failed.after(&Error{})
	}
	return failed.asOutcome(h.failed)
}

// clear waits for the attempts that were given up.
func (h *hedge) clear() {
	for ; h.running > 0; h.running-- {
		if a := <-h.endc; a.failed == nil {
			h.node.linking.wires.FreeCall(a.p)
		}
	}
}
