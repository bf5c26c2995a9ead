package broach

import (
	"context"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"broach/internal/balance"
	"broach/internal/member"
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
	skewServices  = 1024                   // functions whose calls are compared,
	skewUses      = 16                     // and ways to call each of them; others are with Strict only, and not kept
	skewArgs      = 8                      // arguments of each that are looked at
	skewVerdicts  = member.PeersMax        // providers that are remembered for each of these
	skewQuestions = 256                    // that wait their turn; what has no room is asked by a later call
	skewPause     = 100 * time.Millisecond // between two of them
	skewTold      = 1024                   // differences that are remembered, so as to tell each once
)

// skews are the comparisons of a node. They may be used by many goroutines at once.
type skews struct {
	uses atomic.Pointer[map[string][]*use] // by service; not written to, but replaced

	mu       sync.Mutex // protects all below, and the replacing of uses: any caller may find something to be compared
	queue    []question
	isAsking bool // a goroutine of the background works off the queue
	isClosed bool
	told     map[string]bool
	lines    pace.LogLimit
}

// A question is what a provider is to be asked.
type question struct {
	*Caller
	use   *use
	visit balance.Visit
}

// by is what the provider offered when it was to be called. Only of its row the version of the table is known.
func (q *question) by() edition { return edition{q.visit.Link.ID, q.visit.Table} }

// A use is one way in which this program calls a function: with arguments of these types, for results of those.
type use struct {
	args     []reflect.Type // the first; nil for a nil
	results  []reflect.Type
	own      *skew.Outline
	mu       sync.Mutex // is held while verdicts are replaced: callers, and the goroutine of the background, reach one
	verdicts atomic.Pointer[map[edition]*verdict]
}

// A verdict is what came of the comparison with one provider. It does not change.
type verdict struct {
	difference string        // empty: there is none
	failed     *Error        // why it is not known; it is asked again, but where isLasting
	isLasting  bool          // the provider will not say it another time
	donec      chan struct{} // somebody asks now; closed when there is another verdict. Else nil
}

// waiting is the verdict while a question waits its turn.
var waiting = new(verdict)

// isOpen reports that somebody who needs the verdict is to ask for it.
func (v *verdict) isOpen() bool { return v == nil || v == waiting || v.failed != nil && !v.isLasting }

// compare finds out whether a provider has other fields, or has that found out. It is the error of a Strict call.
func (c *Caller) compare(ctx context.Context, v *balance.Visit, out *outCall) (failed *Error) {
	u := c.useOf(out)
	if u == nil {
		return nil
	}
	q := question{c, u, *v}
	known := u.verdict(q.by())
	switch {
	case !c.opts.strict && known == nil:
		c.node.askLater(q)
		return nil
	case !c.opts.strict:
		return nil
	case known.isOpen() || known.donec != nil:
		if known, failed = q.await(ctx, out.deadline); failed != nil {
			return failed
		}
	}
	return c.skewed(known, v.Link.ID.Addr)
}

// compareHere is compare for a function of this node.
func (c *Caller) compareHere(f *service, out *outCall) *Error {
	u, by := c.useOf(out), edition{Process: wire.Process{Boot: f.serial}}
	if u == nil {
		return nil
	}
	known := u.verdict(by)
	if known == nil {
		known = &verdict{difference: skew.Difference(u.own, skew.Of(f.describe()))}
		u.put(by, known)
		c.node.tellSkew(c.name, c.node.Addr().String(), known.difference)
	}
	if !c.opts.strict {
		return nil
	}
	return c.skewed(known, c.node.Addr())
}

// skewed is the error of a Strict call by a verdict.
func (c *Caller) skewed(v *verdict, node netip.AddrPort) *Error {
	switch {
	case v.failed != nil:
		return v.failed
	case v.difference == "":
		return nil
	}
	e := c.newError(InvalidArgument, No, wire.Shortened(v.difference+"; without Strict these are lost on the way"))
	e.skewed = true
	return c.at(node, e)
}

// await waits until there is a verdict, as a Strict call does.
func (q *question) await(ctx context.Context, deadline time.Time) (known *verdict, failed *Error) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	for known.isOpen() || known.donec != nil {
		if known, failed = q.insist(ctx, deadline); failed != nil {
			return nil, failed
		}
	}
	return known, nil
}

// insist asks a provider now, or waits for who is asking it already.
func (q *question) insist(ctx context.Context, deadline time.Time) (*verdict, *Error) {
	v, isMine := q.use.claim(q.by())
	switch {
	case isMine:
		return q.ask(ctx, deadline, v)
	case v.donec == nil:
		return v, nil
	}
	select {
	case <-v.donec:
		v = q.use.verdict(q.by())
		if v != nil && v.failed != nil && v.failed.Code != Canceled && v.failed.Code != DeadlineExceeded {
			return nil, v.failed // those are about the time of who asked
		}
		return v, nil
	case <-ctx.Done():
		return nil, q.at(q.visit.Link.ID.Addr, q.over(ctx, No))
	}
}

// ask asks a provider for a verdict that has been claimed.
func (q *question) ask(ctx context.Context, deadline time.Time, claimed *verdict) (*verdict, *Error) {
	v := &verdict{failed: errCutShort}
	defer func() {
		q.use.put(q.by(), v)
		close(claimed.donec)
	}()
	theirs, failed := q.outline(ctx, deadline)
	if failed != nil {
		v.failed, v.isLasting = q.unsaid(failed)
		return v, v.failed
	}
	v.difference, v.failed = skew.Difference(q.use.own, theirs), nil
	q.node.tellSkew(q.name, q.visit.Link.ID.Addr.String(), v.difference)
	return v, nil
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
	if s.isClosed || len(s.queue) >= skewQuestions || q.use.verdict(q.by()) != nil {
		return
	}
	if s.isAsking = s.isAsking || n.background.TryGo(n.askQueued); s.isAsking {
		q.use.put(q.by(), waiting)
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
		if v, isMine := q.use.claim(q.by()); isMine {
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
func (c *Caller) useOf(out *outCall) *use {
	s := &c.node.calling.skews
	if all := s.uses.Load(); all != nil {
		list, isKnown := (*all)[c.name]
		for _, u := range list {
			if u.fits(out) {
				return u
			}
		}
		if len(list) >= skewUses || !isKnown && len(*all) >= skewServices {
			if c.opts.strict {
				return newUse(out)
			}
			return nil
		}
	}
	return s.addUse(c.name, newUse(out))
}

// args are the arguments that are looked at.
func (out *outCall) args() []any {
	list := out.Values()
	return list[:min(len(list), skewArgs)]
}

func newUse(out *outCall) *use {
	u, d, own := &use{results: slices.Clone(out.results)}, describer{}, Description{}
	for _, x := range out.args() {
		t := reflect.TypeOf(x)
		u.args = append(u.args, t)
		own.Params = append(own.Params, Field{Type: d.describeWanted(t)})
	}
	for _, t := range out.results {
		own.Results = append(own.Results, d.describeWanted(t))
	}
	u.own = skew.Of(own)
	return u
}

// addUse adds a use to a copy of them all, unless another goroutine was faster.
func (s *skews) addUse(service string, u *use) *use {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := map[string][]*use{}
	if all := s.uses.Load(); all != nil {
		next = maps.Clone(*all)
	}
	for _, other := range next[service] {
		if slices.Equal(u.args, other.args) && slices.Equal(u.results, other.results) {
			return other
		}
	}
	next[service] = append(slices.Clip(next[service]), u)
	s.uses.Store(&next)
	return u
}

// fits reports whether a call is one of these.
func (u *use) fits(out *outCall) bool {
	args := out.args()
	if len(args) != len(u.args) || !slices.Equal(out.results, u.results) {
		return false
	}
	for i, t := range u.args {
		if reflect.TypeOf(args[i]) != t {
			return false
		}
	}
	return true
}

func (u *use) verdict(by edition) *verdict {
	if all := u.verdicts.Load(); all != nil {
		return (*all)[by]
	}
	return nil
}

func (u *use) put(by edition, v *verdict) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.replace(by, v)
}

// claim is how one gets to ask: by a verdict that says so. Without that it returns the one there is.
func (u *use) claim(by edition) (v *verdict, isMine bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if v = u.verdict(by); !v.isOpen() {
		return v, false
	}
	v = &verdict{donec: make(chan struct{})}
	u.replace(by, v)
	return v, true
}

// replace makes a copy of the verdicts with another one. If there are too many all are forgotten: to ask again costs
// little.
func (u *use) replace(by edition, v *verdict) {
	next := map[edition]*verdict{}
	if all := u.verdicts.Load(); all != nil && len(*all) < skewVerdicts {
		next = maps.Clone(*all)
	}
	next[by] = v
	u.verdicts.Store(&next)
}
