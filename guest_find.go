package broach

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"time"

	"broach/internal/balance"
	"broach/internal/codec"
	"broach/internal/member"
	"broach/internal/pace"
	"broach/internal/wire"
)

// Who knows no tables asks where a function is. Any member answers, from what it knows of all.

// findService is the protocol's own function that guests ask, PROTOCOL.md [GST-4].
const findService = "\x00find"

// How many questions are answered in a second. The reader answers them itself, for guests come just when the workers
// have too much to do; so they may take some hundredths of a processor, and not more.
const (
	findsPerSec = 1000
	findsEach   = 250 // of one peer, so that others are answered
)

// finds are the questions of a second.
type finds struct {
	each pace.Each[netip.AddrPort] // it grows by links, and so many can be made in a second
	all  pace.Allowance
}

// find answers a question.
func (r *reader) find(now time.Time, req *request) {
	if !r.finds.each.Take(now, req.from(), findsEach) || !r.finds.all.Take(now, findsPerSec) {
		req.answerCode(Overloaded, No, "the node is asked for functions too often")
		return
	}
	req.Run(now)
}

// findFunction is what answers findService.
func (n *Node) findFunction() *service {
	return ownService(findService, func(ctx context.Context, name string, wanted ...string) []byte {
		call, _ := InvocationFrom(ctx)
		found := n.providersFor(call.From, name, wanted)
		return found.Append(nil)
	})
}

// providersFor lists who offers a function: first the one that is wanted, if any, then those that can be called. Of
// more than there is room for each asker is told of others, and always of the same.
func (n *Node) providersFor(asker netip.AddrPort, name string, wanted []string) (found wire.Found) {
	v := n.calling.view.Load()
	r := v.routes.get(name)
	if wire.IsOwn(name) {
		return found
	}
	first := netip.AddrPort{}
	if len(wanted) > 0 {
		first, _ = netip.ParseAddrPort(wanted[0])
	}
	n.addSelf(&found, v, name)
	if r == nil {
		return found
	}
	found.More += uint32(r.offline)
	for _, list := range [][]balance.Candidate{r.alive, r.doubtful} {
		if i, ok := search(list, first); ok {
			v.addProvider(&found, name, &list[i])
		}
	}
	from := balance.Rendezvous(name, asker)
	for _, list := range [][]balance.Candidate{r.alive, r.doubtful} {
		for i := range list {
			if d := &list[(uint64(i)+from)%uint64(len(list))]; d.Link.ID.Addr != first {
				v.addProvider(&found, name, d)
			}
		}
	}
	return found
}

// addSelf lists this node, if it offers the function.
func (n *Node) addSelf(found *wire.Found, v *view, name string) {
	f := n.serving.offered.forPeers([]byte(name))
	if f == nil {
		return
	}
	if row := f.row(); !row.Paused && !v.self.Addr().IsUnspecified() && !n.serving.refusing.Load() {
		found.Add(wire.Provider{
			Process: wire.Process{Addr: v.self, Boot: n.linking.wires.Process.Boot},
			Table:   n.linking.wires.Table.Load(), Signature: row.Signature,
			Weight: row.Weight, Idempotent: row.Idempotent,
		})
		return
	}
	found.More++
}

// addProvider lists a peer.
func (v *view) addProvider(found *wire.Found, name string, d *balance.Candidate) {
	if len(found.Providers) == wire.FoundMost {
		found.More++
		return
	}
	p := member.WhoAt(v.peers, d.Link.ID.Addr)
	if p == nil {
		return
	}
	if i, ok := member.FindRow(p.Functions, name); ok {
		row := &p.Functions[i]
		found.Add(wire.Provider{
			Process: p.Process, Table: p.Tver, Signature: row.Signature, Weight: row.Weight, Idempotent: row.Idempotent,
			Last: standingOf(p) == calledLast,
		})
	}
}

// The other side: how a guest asks.

const (
	findKept    = time.Second            // how long an answer is used
	findSoon    = 500 * time.Millisecond // from when on the next is asked for, while calls go on
	findNone    = 100 * time.Millisecond // how long the answer is used that nobody offers a function, or a refusal
	findLong    = 10 * time.Second       // how long an answer is used while our host is silent, or refuses
	findPatient = 250 * time.Millisecond // how long that must have been so
	findsMost   = 1024                   // answers that are kept; beyond that, those that are old are not
)

// What a call fails with where no question is answered.
const (
	textNoSeed = "no seed has answered"
	textUnsaid = "the seed does not say who offers the function"
)

// find is a question where a function is, and its answer.
type find struct {
	began  time.Time
	donec  chan struct{} // closed when it is answered; then the rest is set
	before *find         // the last good answer, until this is one; nil: there is none
	at     time.Time     // when it was answered
	known  int           // providers
	// of them can be called now, as far as that is known
	callable int
	view     View // of a question for one
	failed   *Error
}

// isDone reports whether the question is answered.
func (f *find) isDone() bool {
	select {
	case <-f.donec:
		return true
	default:
		return false
	}
}

// age is how old an answer is, and whether it can be used still. One that is nil, failed or is to come cannot.
func (f *find) age(now time.Time) (age time.Duration, isFresh bool) {
	if f == nil || !f.isDone() || f.failed != nil {
		return 0, false
	}
	age = now.Sub(f.at)
	if f.known == 0 {
		return age, age < findNone
	}
	return age, age < findKept
}

// good is the last good answer among this one and the one before; nil: there is none.
func (f *find) good() *find {
	if f == nil || f.isDone() && f.failed == nil {
		return f
	}
	return f.before
}

// isOver reports whether a question may be asked anew: its host is not asked again right after it has refused.
func (f *find) isOver(now time.Time) bool {
	return f == nil || f.isDone() && (f.failed == nil || f.failed.Node == "" || now.Sub(f.at) >= findNone)
}

// canStandIn reports whether an answer is used in place of one that does not come. One that is nil cannot.
func (f *find) canStandIn() bool { return f != nil && time.Since(f.at) < findLong }

// found returns an answer of now or of shortly before.
func (n *Node) found(ctx context.Context, c *Caller) (*find, *Error) {
	f := n.findFor(c)
	if f.isDone() && f.failed == nil {
		return f, nil
	}
	patience := time.NewTimer(findPatient - time.Since(f.began))
	defer patience.Stop()
	for {
		select {
		case <-patience.C:
			if f.before.canStandIn() {
				return f.before, nil
			}
		case <-f.donec:
			switch {
			case f.failed == nil:
				return f, nil
			case f.failed.Code != Closed && f.before.canStandIn():
				return f.before, nil
			}
			failed := *f.failed
			failed.Service = c.name
			return nil, &failed
		case <-n.serving.provider.ctx.Done():
			return nil, c.closed(No)
		case <-ctx.Done():
			return nil, c.newError(Unavailable, No, textNoSeed+n.notJoined(n.calling.view.Load()))
		}
	}
}

// findFor is the answer that a call can use, or else a question that is being asked.
func (n *Node) findFor(c *Caller) *find {
	g, now, key, wanted := &n.calling.guest, time.Now(), c.name, []any{c.name}
	g.mu.Lock()
	defer g.mu.Unlock()
	if on := c.opts.on; on.IsValid() {
		if f := g.finds[key].good(); f != nil && n.isOffered(c) {
			if _, isFresh := f.age(now); isFresh {
				return f
			}
		}
		key, wanted = key+"\x00"+on.String(), append(wanted, on.String())
	}
	return g.answerTo(n, now, key, func(f *find) { n.ask(f, wanted) })
}

// answerTo is the answer to a question, or else that which is being asked. mu is held.
func (g *guest) answerTo(n *Node, now time.Time, key string, ask func(f *find)) *find {
	last := g.finds[key]
	good := last.good()
	age, isFresh := good.age(now)
	if (!isFresh || age >= findSoon) && last.isOver(now) {
		last = g.begin(n, now, key, good, ask)
	}
	if isFresh {
		return good
	}
	return last
}

// isOffered reports whether the provider that a call is for is known to offer the function.
func (n *Node) isOffered(c *Caller) bool {
	p := member.WhoAt(n.calling.view.Load().peers, c.opts.on)
	if p == nil {
		return false
	}
	_, ok := member.FindRow(p.Functions, c.name)
	return ok
}

// begin asks a question. mu is held.
func (g *guest) begin(n *Node, now time.Time, key string, good *find, ask func(f *find)) *find {
	f := &find{began: now, donec: make(chan struct{})}
	if good != nil { // without those before it
		f.before = &find{
			donec: good.donec, at: good.at, known: good.known, callable: good.callable, view: good.view,
		}
	}
	if n.isClosed() {
		f.end(&Error{Code: Closed, Executed: No, Message: textClosed})
		return f
	}
	if g.finds == nil {
		g.finds = make(map[string]*find)
	}
	if len(g.finds) >= findsMost {
		maps.DeleteFunc(g.finds, func(_ string, f *find) bool { return f.isDone() && now.Sub(f.at) >= findKept })
	}
	if len(g.finds) < findsMost { // else it is asked again by each who wants to know
		g.finds[key] = f
	}
	g.asks.Go(func() { ask(f) })
	return f
}

// close waits for the questions: there will be no others.
func (g *guest) close() {
	g.mu.Lock() // begin has seen that the node is closed, or has begun
	clear(g.finds)
	g.mu.Unlock()
	g.asks.Wait()
}

// ask asks where a function is.
func (n *Node) ask(f *find, wanted []any) {
	var said wire.Found
	failed := n.askSeeds(func(host *conn) (failed *Error) {
		said, failed = n.askAt(host, wanted)
		return failed
	})
	if failed != nil {
		f.end(failed)
		return
	}
	n.tellFound(f, wanted[0].(string), said)
}

// end is the end of a question that is not about functions, or that has failed.
func (f *find) end(failed *Error) {
	f.failed, f.at = failed, time.Now()
	close(f.donec)
}

// askSeeds asks our host, and where that does not answer the next.
func (n *Node) askSeeds(ask func(host *conn) *Error) *Error {
	for last := uint64(0); ; {
		host, failed := n.awaitHost(last)
		if failed != nil {
			return failed
		}
		failed = ask(host)
		if failed == nil || failed.Code != Unreachable && failed.Code != Closed || n.isClosed() {
			return failed
		}
		last = host.Token
	}
}

// awaitHost waits for a seed that answers, and is another than the last.
func (n *Node) awaitHost(last uint64) (l *conn, _ *Error) {
	ctx, cancel := context.WithTimeout(n.serving.provider.ctx, joinWait)
	defer cancel()
	err := n.await(ctx, func(v *view) bool {
		if v.host != 0 && v.host != last {
			l = n.linking.tokens.Link(v.host)
		}
		return l != nil
	})
	switch {
	case err == nil:
		return l, nil
	case n.isClosed():
		return nil, &Error{Code: Closed, Executed: No, Message: textClosed}
	}
	return nil, &Error{Code: Unavailable, Executed: No, Message: textNoSeed + n.notJoined(n.calling.view.Load())}
}

// askAt asks one of them.
func (n *Node) askAt(host *conn, wanted []any) (said wire.Found, _ *Error) {
	now := time.Now()
	deadline := now.Add(n.cfg.callTimeout() + n.cfg.ackTimeout())
	ctx, cancel := context.WithDeadline(n.serving.provider.ctx, deadline)
	defer cancel()
	p, failed := n.Caller(findService).attempt(ctx, now, host.visit(),
		&outCall{Arguments: codec.Arguments{List: wanted}, deadline: deadline})
	switch {
	case failed != nil && (failed.Code == Unreachable || failed.Code == Closed):
		return said, failed
	case failed != nil:
		return said, &Error{Code: Unavailable, Executed: No, Node: failed.Node,
			Message: fmt.Sprintf("%s: %v: %v", textUnsaid, failed.Code, failed.Message)}
	}
	defer n.linking.wires.FreeCall(p)
	b, err := codec.DecodeAs[[]byte](p.Body)
	if err == nil {
		said, err = wire.ConsumeFound(b)
	}
	listed := len(said.Providers)
	said = member.UsableOf(host.ID.Addr, said)
	n.stats.unusable.Add(uint64(listed - len(said.Providers)))
	if err != nil {
		return said, &Error{Code: Unavailable, Executed: No, Node: host.ID.Addr.String(),
			Message: textUnsaid + ": its answer cannot be read: does it run a broach of this version?"}
	}
	return said, nil
}

// tellFound takes up an answer. Who waits for it finds it in the view.
func (n *Node) tellFound(f *find, name string, said wire.Found) {
	err := n.do(func(now time.Time) {
		n.loop.members.Found(now, name, said)
		n.carryOut(now)
		n.publish(now)
		f.at, f.known, f.callable = now, len(said.Providers)+int(said.More), len(said.Providers)
		if f.callable == wire.FoundMost { // more were not listed
			f.callable = f.known
		}
		close(f.donec)
	})
	if err != nil {
		f.end(&Error{Code: Closed, Executed: No, Message: textClosed})
	}
}
