package broach

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"broach/internal/balance"
	"broach/internal/link"
	"broach/internal/pace"
)

// route finds out where the function is.
func (c *Caller) route(ctx context.Context, now, deadline time.Time) (*route, *Error) {
	if c.node.cfg.Guest {
		return c.guestRoute(ctx, deadline)
	}
	v := c.node.calling.view.Load()
	r := c.routeIn(v)
	if r == nil && !v.joined {
		return c.awaitRoute(ctx, pace.Earliest(deadline, now.Add(joinWait)), deadline)
	}
	return r, c.unknown(r)
}

// awaitRoute waits a little for a name that is not known yet.
func (c *Caller) awaitRoute(ctx context.Context, until, deadline time.Time) (r *route, _ *Error) {
	waiting, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	_ = c.node.await(waiting, func(v *view) bool { r = c.routeIn(v); return r != nil || v.joined })
	switch {
	case r == nil && !time.Now().Before(deadline):
		return nil, c.newError(DeadlineExceeded, No,
			"the name was not known within the deadline"+c.node.notJoined(c.node.calling.view.Load()))
	case ctx.Err() != nil:
		return nil, c.over(ctx, No)
	}
	return r, c.unknown(r)
}

// unknown is the error of a call that has no route.
func (c *Caller) unknown(r *route) *Error {
	switch {
	case r != nil:
		return nil
	case c.node.isClosed():
		return c.closed(No)
	}
	return c.notServed("no node offers this function" + c.node.notJoined(c.node.calling.view.Load()))
}

// beginChoice makes a zero Chooser what chooses the providers of a call: at first none whose signature such arguments
// did not fit lately. It is set in place: to copy it would cost a hundredth of a call.
func (c *Caller) beginChoice(ch *balance.Chooser, now time.Time, r *route, out *outCall) {
	ch.Service, ch.Now, ch.Random = c.name, now, c.node.calling.roll
	ch.Policy, ch.Heed = c.opts.policy, c.opts.heed
	if !r.misfits.IsEmpty() {
		ch.Misfits = r.misfits.Of(now, out.Shape())
	}
}

// remote makes the call at one provider after the other until one has run it, or may have. failed is how it failed
// before, nil: it did not.
func (c *Caller) remote(
	ctx context.Context, r *route, out *outCall, ch *balance.Chooser, failed *Error,
) (*link.Call, *Error) {
	c.node.calling.calls.Add(1)
	skewed := 0 // providers that were not asked, as they have other fields
	for now := ch.Now; ; {
		found, err := c.choose(r, ch)
		switch {
		case err != nil:
			return nil, err.after(failed)
		case found == nil && failed == nil:
			return nil, c.nobody(r)
		case found == nil:
			return nil, failed
		}
		var p *link.Call
		p, err = c.askOne(ctx, now, &ch.Chosen, out)
		if err == nil {
			return p, nil
		}
		failed = c.lasting(err, r.isIdempotent() && out.streams.isFresh()).asOutcome(failed)
		ch.Tried = append(ch.Tried, found)
		if err.skewed {
			skewed++
			continue
		}
		c.learn(now, r, out, ch, ch.Chosen.Signature, err)
		if !c.mayRetry(ctx, time.Now(), out.deadline, r, ch.Tried, len(ch.Tried)-skewed, err) ||
			!out.streams.mayRepeat() {
			return nil, failed
		}
		now, r = time.Now(), c.routeAgain(ctx, out.deadline, ch.Tried)
		c.noteRetry(now, err)
		if r == nil {
			r = &route{} // this node may be left
		}
	}
}

// askOne makes the call at the provider chosen, which may be this node.
func (c *Caller) askOne(ctx context.Context, now time.Time, v *balance.Visit, out *outCall) (*link.Call, *Error) {
	isHere := v.Record == c.node.calling.self
	if out.isHere != nil {
		*out.isHere = isHere
	}
	if isHere {
		return c.localAsOne(ctx, now, out)
	}
	return c.visit(ctx, now, v, out)
}

// learn takes up that the arguments of a call do not fit a signature, if that is why it failed: the call is not made at
// others with the same, and where there are others with another, calls like it go there.
func (c *Caller) learn(
	now time.Time, r *route, out *outCall, ch *balance.Chooser, signature string, failed *Error,
) {
	if !failed.isMisfit() {
		return
	}
	ch.Refused = append(ch.Refused, signature)
	if self, ok := c.selfAsOne(); r.hasAnother(signature) || ok && self.Signature != signature {
		r.misfits.Learn(now, out.Shape(), signature)
	}
}

// choose finds the provider that a call goes to next, and enters it: a peer, this node, or nil if none is left.
// Those whose breaker does not let the call through are passed over, the overloaded among them only while others are
// left.
func (c *Caller) choose(r *route, ch *balance.Chooser) (*balance.Record, *Error) {
	for {
		found, failed := c.find(r, ch)
		switch {
		case failed != nil || found != nil && ch.Enter():
			return found, failed
		case found == nil && !ch.Relent(r.alive, r.doubtful):
			return nil, nil
		}
	}
}

// nobody is the error of a call that found no provider at all: those there are, if any, are shut.
func (c *Caller) nobody(r *route) *Error {
	on := c.opts.on
	switch shut := r.candidates(); {
	case !on.IsValid() && len(shut) > 0:
		return c.newError(CircuitOpen, No, textOpen)
	case slices.ContainsFunc(shut, func(d balance.Candidate) bool { return d.Link.ID.Addr == on }):
		return c.at(on, c.newError(CircuitOpen, No, textOpen))
	}
	return c.unreached()
}

// unreached is the error where there is nobody to call.
func (c *Caller) unreached() *Error {
	return c.newError(Unavailable, No,
		"no provider of this function can be reached now"+c.node.notJoined(c.node.calling.view.Load()))
}

// find finds a provider.
func (c *Caller) find(r *route, ch *balance.Chooser) (*balance.Record, *Error) {
	_, byLoad := c.opts.balancer.(leastLoaded)
	byLoad = byLoad || c.opts.balancer == nil
	switch {
	case c.opts.on.IsValid():
		return r.at(c.opts.on, ch), nil
	case byLoad && c.opts.local != LocalEqual:
		return r.pick(ch), nil
	}
	from := c.eligible(r, ch)
	switch {
	case len(from) == 0:
		return nil, nil
	case byLoad:
		return ch.Among(from), nil
	}
	return c.ask(from, ch)
}

// at finds the provider with an address.
func (r *route) at(addr netip.AddrPort, ch *balance.Chooser) *balance.Record {
	r.know(ch.Service, ch.Now)
	for _, list := range [][]balance.Candidate{r.alive, r.doubtful} {
		for i := range list {
			if d := &list[i]; d.Link.ID.Addr == addr && !ch.IsOut(d) {
				return ch.Take(d)
			}
		}
	}
	return nil
}

// eligible lists those that a Balancer may choose from.
func (c *Caller) eligible(r *route, ch *balance.Chooser) []balance.Candidate {
	r.know(ch.Service, ch.Now)
	from := ch.Open(r.alive)
	if self, ok := c.selfAsOne(); ok && !ch.IsOut(&self) {
		from = append(from, self)
	}
	if len(from) == 0 {
		from = ch.Open(r.doubtful)
	}
	slices.SortFunc(from, func(a, b balance.Candidate) int { return c.addrOf(a).Compare(c.addrOf(b)) })
	return from
}

// selfAsOne is this node where it is one provider among the others.
func (c *Caller) selfAsOne() (self balance.Candidate, ok bool) {
	if c.opts.local != LocalEqual {
		return self, false
	}
	f := c.here()
	if f == nil {
		return self, false
	}
	return balance.Candidate{Record: c.node.calling.self, Weight: f.weightAt(), Signature: f.rowSignature()}, true
}

// addrOf is the address of a candidate, of which this node's own may have been learnt late.
func (c *Caller) addrOf(d balance.Candidate) netip.AddrPort {
	if d.Link == nil {
		return c.node.Addr()
	}
	return d.Link.ID.Addr
}

// ask lets the Balancer choose. It is user code: what it does wrong fails the call, and nothing else.
func (c *Caller) ask(from []balance.Candidate, ch *balance.Chooser) (found *balance.Record, failed *Error) {
	providers := make([]Provider, len(from))
	for i, d := range from {
		providers[i] = Provider{
			Addr: c.addrOf(d), Self: d.Link == nil, InFlight: int(d.Record.Inflight.Load()), Latency: d.Latency(),
			Weight: d.Weight,
		}
	}
	defer func() {
		if v := recover(); v != nil {
			failed = c.newError(Internal, No, fmt.Sprintf("the Balancer panicked: %v", v))
		}
	}()
	i := c.opts.balancer.Pick(CallInfo{Service: c.name, Key: c.opts.key, Random: c.node.draw()}, providers)
	if i < 0 || i >= len(from) {
		return nil, c.newError(Internal, No, fmt.Sprintf("the Balancer chose %d of %d", i, len(from)))
	}
	return ch.Take(&from[i]), nil
}

// pauseFirst is the time before a retry, at most. It is twice as long before each further one.
const pauseFirst = 10 * time.Millisecond

// isRetried reports whether another provider may be asked after such a failure. Where the provider was just not the
// right one it may be at once, and without the budget; likewise where a subscriber has no room for an event, which says
// nothing of the others: to ask them costs little, and the publisher waits.
func (c *Caller) isRetried(failed *Error, idempotent bool) (may, atOnce bool) {
	switch {
	case failed.forwarded: // [CALL-19]: it is what a call within it failed with
		return false, false
	case failed.Executed == No && isWrongPlace(failed.Code), failed.isMisfit(), failed.skewed:
		return true, true
	case failed.Executed == No && failed.Code == Overloaded:
		return true, c.opts.event != 0
	}
	return idempotent && failed.Code == Unreachable, false
}

// mayRetry reports whether another provider is to be asked, be it one that has come meanwhile, and waits until it is
// time to. Where it has too much to do, or may have run the call, that is a little later and, as a rule, within the
// budget. r is where the call has been so far, asked how many of those tried count as retries do.
func (c *Caller) mayRetry(
	ctx context.Context, now, deadline time.Time, r *route, tried []*balance.Record, asked int, failed *Error,
) bool {
	others := c.routeIn(c.node.calling.view.Load())
	self, ok := c.selfAsOne()
	isSelfLeft := ok && !slices.Contains(tried, self.Record)
	if asked > c.opts.retries || !others.hasOthers(tried...) && !isSelfLeft && !c.mayVisit(others) {
		return false
	}
	if may, atOnce := c.isRetried(failed, r.isIdempotent()); !may || atOnce {
		return may
	}
	wait := time.Duration(c.node.random(int(pauseFirst << min(asked-1, 4))))
	if !now.Add(wait).Before(deadline) || !c.mayAdd(now, failed) {
		return false
	}
	return sleep(ctx, wait)
}

// isWrongPlace reports that a provider was just not the right one, with a call that did not run there.
func isWrongPlace(c Code) bool {
	return c == NotFound || c == Unavailable || c == Unreachable || c == Draining
}

// isMisfit reports that the arguments do not fit the function as a provider offers it. Another may offer it with
// another signature, as while a program is replaced by a newer one.
func (e *Error) isMisfit() bool {
	return e.Code == InvalidArgument && e.Executed == No && e.Node != "" && !e.forwarded && !e.skewed
}

// asOutcome is an error as the outcome of a call that had failed before, if before is not nil. That the arguments do
// not fit where it was made again does not tell why it failed.
func (e *Error) asOutcome(before *Error) *Error {
	if before != nil && e.isMisfit() {
		return before
	}
	return e.after(before)
}

// mayAdd takes a retry from the budget, if there is one left. The calls that were in flight to a provider found to be
// gone need none: they are as many as there were, once, and others would have run them anyway.
func (c *Caller) mayAdd(now time.Time, failed *Error) bool {
	return failed.gone || c.node.calling.retries.Spend(now, c.node.calling.calls.Load())
}

// hasOthers reports whether there are providers beside those that have been tried. A nil route has none.
func (r *route) hasOthers(tried ...*balance.Record) bool {
	if r == nil {
		return false
	}
	for _, list := range [][]balance.Candidate{r.alive, r.doubtful} {
		for i := range list {
			if !slices.Contains(tried, list[i].Record) {
				return true
			}
		}
	}
	return false
}

// mayVisit reports whether there may be providers with which this node, a guest, has no link yet.
func (c *Caller) mayVisit(r *route) bool { return c.node.cfg.Guest && r != nil && r.offline > 0 }

// hasAnother reports whether a provider offers the function with another signature.
func (r *route) hasAnother(signature string) bool {
	isAnother := func(d balance.Candidate) bool { return d.Signature != signature }
	return slices.ContainsFunc(r.candidates(), isAnother)
}

// sleep waits, and reports whether ctx has not ended meanwhile.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
