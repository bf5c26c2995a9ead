package broach

import (
	"context"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"time"

	"broach/internal/balance"
	"broach/internal/pace"
	"broach/internal/skew"
	"broach/internal/wire"
)

// Programs are replaced one by one, and a struct of the caller need not have the fields of the provider's: what only
// one of them has is lost on the way, and nothing fails. So whoever calls a function with structs compares them with
// those of the provider's Description: once for each way in which it calls the function, and for what each provider
// offers. What differs is told in the log, and with Strict it is the error of the call.
//
// Without Strict no call waits for that: questions are asked in the background, one after the other. Calls without
// structs have nothing to do with any of this.

const (
	skewQuestions = 256                    // that wait their turn; what has no room is asked by a later call
	skewPause     = 100 * time.Millisecond // between two of them
	skewTold      = 1024                   // differences that are remembered, so as to tell each once
)

// skews are the comparisons of a node. They may be used by many goroutines at once.
type skews struct {
	uses skew.Uses

	mu       sync.Mutex // protects all below: any caller may find something to be compared
	queue    []question
	isAsking bool // a goroutine of the background works off the queue
	isClosed bool
	told     map[string]bool
	lines    pace.LogLimit
}

// A question is what a provider is to be asked.
type question struct {
	*Caller
	use   *skew.Use
	visit balance.Visit
}

// by is what the provider offered when it was to be called. Only of its row the version of the table is known.
func (q *question) by() skew.Edition {
	return skew.Edition{Process: q.visit.Link.ID, Table: q.visit.Table}
}

// compare finds out whether a provider has other fields, or has that found out. It is the error of a Strict call.
func (c *Caller) compare(ctx context.Context, v *balance.Visit, out *outCall) (failed *Error) {
	u := c.useOf(out)
	if u == nil {
		return nil
	}
	q := question{c, u, *v}
	known := u.Verdict(q.by())
	switch {
	case !c.opts.strict && known == nil:
		c.node.askLater(q)
		return nil
	case !c.opts.strict:
		return nil
	case known.IsOpen() || known.Asked() != nil:
		if known, failed = q.await(ctx, out.deadline); failed != nil {
			return failed
		}
	}
	return c.skewed(known, v.Link.ID.Addr)
}

// compareHere is compare for a function of this node.
func (c *Caller) compareHere(f *service, out *outCall) *Error {
	u, by := c.useOf(out), skew.Edition{Process: wire.Process{Boot: f.serial}}
	if u == nil {
		return nil
	}
	known := u.Verdict(by)
	if known == nil {
		known = &skew.Verdict{Difference: skew.Difference(u.Own, skew.Of(f.describe()))}
		u.Put(by, known)
		c.node.tellSkew(c.name, c.node.Addr().String(), known.Difference)
	}
	if !c.opts.strict {
		return nil
	}
	return c.skewed(known, c.node.Addr())
}

// skewed is the error of a Strict call by a verdict.
func (c *Caller) skewed(v *skew.Verdict, node netip.AddrPort) *Error {
	switch {
	case v.Failed != nil:
		return failedOf(v)
	case v.Difference == "":
		return nil
	}
	e := c.newError(InvalidArgument, No, wire.Shortened(v.Difference+"; without Strict these are lost on the way"))
	e.skewed = true
	return c.at(node, e)
}

// await waits until there is a verdict, as a Strict call does.
func (q *question) await(ctx context.Context, deadline time.Time) (known *skew.Verdict, failed *Error) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	for known.IsOpen() || known.Asked() != nil {
		if known, failed = q.insist(ctx, deadline); failed != nil {
			return nil, failed
		}
	}
	return known, nil
}

// insist asks a provider now, or waits for who is asking it already.
func (q *question) insist(ctx context.Context, deadline time.Time) (*skew.Verdict, *Error) {
	v, isMine := q.use.Claim(q.by())
	switch {
	case isMine:
		return q.ask(ctx, deadline, v)
	case v.Asked() == nil:
		return v, nil
	}
	select {
	case <-v.Asked():
		v = q.use.Verdict(q.by())
		if failed := failedOf(v); failed != nil && failed.Code != Canceled && failed.Code != DeadlineExceeded {
			return nil, failed // those are about the time of who asked
		}
		return v, nil
	case <-ctx.Done():
		return nil, q.at(q.visit.Link.ID.Addr, q.over(ctx, No))
	}
}

// ask asks a provider for a verdict that has been claimed.
func (q *question) ask(ctx context.Context, deadline time.Time, claimed *skew.Verdict) (*skew.Verdict, *Error) {
	v := &skew.Verdict{Failed: errCutShort}
	defer func() { q.use.Settle(q.by(), claimed, v) }()
	theirs, failed := q.outline(ctx, deadline)
	if failed != nil {
		failed, v.IsLasting = q.unsaid(failed)
		v.Failed = failed
		return v, failed
	}
	v.Difference, v.Failed = skew.Difference(q.use.Own, theirs), nil
	q.node.tellSkew(q.name, q.visit.Link.ID.Addr.String(), v.Difference)
	return v, nil
}

// failedOf is why a Verdict is not known; nil: it is, or there is none.
func failedOf(v *skew.Verdict) *Error {
	if v == nil || v.Failed == nil {
		return nil
	}
	return v.Failed.(*Error)
}

// outline is what the provider says of the function, now or before.
func (q *question) outline(ctx context.Context, deadline time.Time) (*skew.Outline, *Error) {
	body, isKnown := q.recall(q.visit.Link)
	if !isKnown {
		var failed *Error
		if body, failed = q.describeAt(ctx, time.Now(), &q.visit, deadline); failed != nil {
			return nil, failed
		}
	}
	o, err := skew.Read(body)
	if err != nil {
		return nil, q.own(err)
	}
	return o, nil
}

// unsaid is the error of a Strict call whose provider has not said what it offers. The function has not run.
func (c *Caller) unsaid(failed *Error) (e *Error, isLasting bool) {
	e = c.newError(failed.Code, No, failed.Message)
	e.Node, e.gone = failed.Node, failed.gone
	switch failed.Code {
	case Canceled, DeadlineExceeded, Closed, Unreachable, Unavailable, Draining, Overloaded:
		return e, false
	case NotFound:
		if failed.Executed == Yes { // it has heard of descriptions, and does not offer the function
			return e, false
		}
	}
	e.Code = Unavailable
	e.Message = wire.Shortened("Strict, and the provider cannot say which fields its structs have: " +
		failed.Code.String() + ": " + failed.Message)
	return e, true
}

// askLater has a provider asked in the background.
func (n *Node) askLater(q question) {
	s := &n.calling.skews
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isClosed || len(s.queue) >= skewQuestions || q.use.Verdict(q.by()) != nil {
		return
	}
	if s.isAsking = s.isAsking || n.background.TryGo(n.askQueued); s.isAsking {
		q.use.Put(q.by(), skew.Waiting)
		s.queue = append(s.queue, q)
	}
}

// askQueued works off the queue.
func (n *Node) askQueued() error {
	ctx := n.serving.provider.ctx
	for {
		q, ok := n.calling.skews.next()
		if !ok {
			return nil
		}
		if v, isMine := q.use.Claim(q.by()); isMine {
			deadline := time.Now().Add(n.cfg.callTimeout())
			_, _ = q.ask(ctx, deadline, v)
			_ = sleep(ctx, skewPause) // if it has ended, so have all questions
		}
	}
}

// next takes a question from the queue. If it reports false, whoever works it off ends.
func (s *skews) next() (q question, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isAsking = len(s.queue) > 0 && !s.isClosed; !s.isAsking {
		s.queue = nil
		return q, false
	}
	q, s.queue = s.queue[0], s.queue[1:]
	return q, true
}

// close has nothing more asked in the background.
func (s *skews) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.isClosed = true
}

// tellSkew tells the operator of a difference, once for a function, whoever has it.
func (n *Node) tellSkew(service, node, difference string) {
	s, key := &n.calling.skews, service+"\x00"+difference
	s.mu.Lock()
	defer s.mu.Unlock()
	if difference == "" || s.told[key] {
		return
	}
	suppressed, ok := s.lines.Allow(time.Now())
	if !ok {
		return
	}
	if s.told == nil || len(s.told) >= skewTold {
		s.told = make(map[string]bool)
	}
	s.told[key] = true
	n.log.Warn("broach: caller and provider have not the same fields, and what only one has is lost on the way: "+
		"bring both to one version", "service", service, "node", node, "difference", difference,
		"suppressed", suppressed)
}

// useOf finds the use that a call is one of. It is nil where there are too many to be compared.
func (c *Caller) useOf(out *outCall) *skew.Use {
	uses := &c.node.calling.skews.uses
	u, hasRoom := uses.Find(c.name, out.args(), out.results)
	switch {
	case u != nil:
		return u
	case hasRoom:
		return uses.Add(c.name, newUse(out))
	case c.opts.strict:
		return newUse(out)
	}
	return nil
}

// args are the arguments that are looked at, with one of the items that stream.
func (out *outCall) args() []any {
	list := out.Values()
	if how := out.Streams; how != nil && how.In != nil {
		list = append(slices.Clip(list), reflect.Zero(how.In).Interface())
	}
	return list[:min(len(list), skew.ArgsMost)]
}

func newUse(out *outCall) *skew.Use {
	d, own := describer{}, Description{}
	for _, x := range out.args() {
		own.Params = append(own.Params, Field{Type: d.describeWanted(reflect.TypeOf(x))})
	}
	for _, t := range out.results {
		own.Results = append(own.Results, d.describeWanted(t))
	}
	return skew.NewUse(out.args(), out.results, skew.Of(own))
}
