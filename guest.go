package broach

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"broach/internal/balance"
	"broach/internal/member"
	"broach/internal/wire"
)

// A guest calls and is no member: see Config.Guest. Its view has those who offer what it has asked for, and its routes
// lead to those of them with which it has a link. So a call first finds out who offers the function (guest_find.go),
// then waits until there is a link with one of them, and from there on is a call like any other. The loop makes the
// links: internal/member/visit.go.

// guest is what a guest needs for that.
type guest struct {
	mu    sync.Mutex
	finds map[string]*find // by what is asked for
	asks  sync.WaitGroup   // who ask; none begins once the node is closed

	widened atomic.Int64 // when another provider was last contacted without need, as of view.began
}

const (
	// between two providers that a call contacts, where the first does not answer
	visitPatience = 300 * time.Millisecond
	// how long a call that wants all providers waits for those that do not answer
	visitAllPatience = time.Second
	// between two providers that are contacted because calls go on
	widenEvery = 10 * time.Millisecond
	// between two looks of WaitFor
	guestAgain = 100 * time.Millisecond
)

// textGuest says why a guest does not do what it is asked for.
const textGuest = "the node is a guest, which only calls: start it without Config.Guest"

// asMember is the error of what only a member does, and to what.
func (n *Node) asMember(verb, object string) error {
	if n.cfg.Guest {
		return refused(InvalidArgument, "%s %s: %s", verb, object, textGuest)
	}
	return nil
}

// guestRoute finds out where the function is, and sees that there is a link with as many providers as the call needs.
func (c *Caller) guestRoute(ctx context.Context, deadline time.Time) (*route, *Error) {
	waiting, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	f, failed := c.node.found(waiting, c)
	switch {
	case failed != nil && waiting.Err() != nil:
		return nil, c.waitedFor(waiting, failed)
	case failed != nil:
		return nil, failed
	}
	r := c.reach(waiting, nil)
	switch {
	case r != nil:
		return r, nil
	case f.known > 0:
		return nil, c.unreached()
	}
	return nil, c.notServed("no node offers this function")
}

// routeAgain is where the function is for a call that was in vain at some providers.
func (c *Caller) routeAgain(ctx context.Context, deadline time.Time, tried []*balance.Record) *route {
	if !c.node.cfg.Guest {
		return c.routeIn(c.node.calling.view.Load())
	}
	waiting, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	return c.reach(waiting, tried)
}

// hosts are the providers of a function in a view of a guest.
type hosts struct {
	ready   int            // with a link, and not tried yet
	open    []*member.View // without a link, that can be contacted, those first that are called first
	isWorse bool           // those of open are called when nobody else is left, and there is one with a link
}

// hostsOf sorts the providers.
func (c *Caller) hostsOf(v *view, tried []*balance.Record) (h hosts) {
	worse := 0
	for _, p := range v.peers {
		_, offers := member.FindRow(p.Functions, c.name)
		switch {
		case !offers || c.opts.on.IsValid() && c.opts.on != p.Addr:
		case p.Link != 0 && c.node.isTried(p.Link, tried):
		case p.Link != 0:
			h.ready++
		case !p.Unreachable:
			if p.Unsteady {
				worse++
			}
			h.open = append(h.open, p)
		}
	}
	slices.SortStableFunc(h.open, func(a, b *member.View) int { return cmp.Compare(standingBit(a), standingBit(b)) })
	h.isWorse = h.ready > 0 && worse == len(h.open)
	return h
}

// standingBit is 1 for who is called when nobody else is left.
func standingBit(p *member.View) int {
	if p.Unsteady {
		return 1
	}
	return 0
}

// isTried reports whether a call was in vain at who is at the other end of a link.
func (n *Node) isTried(token uint64, tried []*balance.Record) bool {
	if len(tried) == 0 {
		return false
	}
	l := n.linking.tokens.Link(token)
	return l != nil && slices.Contains(tried, l.record)
}

// needed is with how many providers there must be a link before the call is made.
func (c *Caller) needed() int {
	_, byLoad := c.opts.balancer.(leastLoaded)
	switch {
	case c.opts.kind == AllAnswers, c.opts.balancer != nil && !byLoad:
		return wire.FoundMost
	case c.opts.hedged:
		return 2
	}
	return 1
}

// reach waits until there is a link with as many providers as the call needs, or with all that answer, and returns the
// route then: nil if nobody offers the function.
func (c *Caller) reach(ctx context.Context, tried []*balance.Record) *route {
	visit := visit{Caller: c, need: c.needed(), began: time.Now()}
	for {
		v := c.node.calling.view.Load()
		r := c.routeIn(v)
		if r == nil {
			return nil
		}
		if len(tried) == 0 && visit.need == 1 && len(r.alive) > 0 && !c.opts.on.IsValid() {
			c.widen(v, r)
			return r
		}
		if visit.isOver(c.hostsOf(v, tried)) || !visit.wait(ctx, v) {
			return r
		}
	}
}

// visit is a call's way to its providers.
type visit struct {
	*Caller
	need  int
	began time.Time
	last  time.Time // when a provider was contacted
	asked []netip.AddrPort
}

// isOver contacts whom the call needs, and reports whether there is nobody else to wait for.
func (s *visit) isOver(h hosts) bool {
	now := time.Now()
	if h.ready >= s.need || len(h.open) == 0 || h.isWorse && s.need == 1 {
		return true
	}
	if h.ready > 0 && now.Sub(s.began) >= visitAllPatience {
		return true
	}
	h.open = slices.DeleteFunc(h.open, func(p *member.View) bool { return slices.Contains(s.asked, p.Addr) })
	for len(h.open) > 0 && (s.need > len(s.asked)+h.ready || now.Sub(s.last) >= visitPatience) {
		i := s.node.pickHost(h.open, s.name)
		addr := h.open[i].Addr
		if s.node.do(func(now time.Time) { s.node.loop.members.Visit(now, addr) }) != nil {
			return true
		}
		s.asked, s.last = append(s.asked, addr), now
		h.open = slices.Delete(h.open, i, i+1)
	}
	return false
}

// pickHost draws one of those that are called first, by their weights.
func (n *Node) pickHost(open []*member.View, name string) int {
	var weights [wire.FoundMost]int
	total, count := 0, 0
	for i, p := range open[:min(len(open), len(weights))] {
		if p.Unsteady != open[0].Unsteady {
			break
		}
		at, _ := member.FindRow(p.Functions, name)
		weights[i] = cmp.Or(int(p.Functions[at].Weight), weightUnsaid)
		total, count = total+weights[i], count+1
	}
	drawn := n.calling.roll(total)
	for i := range weights[:count] {
		if drawn -= weights[i]; drawn < 0 {
			return i
		}
	}
	return 0
}

// wait waits until the view changes, or it is time to contact another provider. It is false if ctx has ended.
func (s *visit) wait(ctx context.Context, v *view) bool {
	timer := time.NewTimer(visitPatience)
	defer timer.Stop()
	select {
	case <-v.nextc:
	case <-timer.C:
	case <-ctx.Done():
		return false
	case <-s.node.serving.provider.ctx.Done():
		return false
	}
	return true
}

// widen contacts one more provider of a function that is called again: one call is to be quick and cost little, and
// many are to be spread as a member would spread them. That holds up nobody.
func (c *Caller) widen(v *view, r *route) {
	g, at := &c.node.calling.guest, int64(time.Since(v.began))
	last := g.widened.Load()
	if r.offline == 0 || at-last < int64(widenEvery) || !g.widened.CompareAndSwap(last, at) {
		return
	}
	if h := c.hostsOf(v, nil); len(h.open) > 0 && !h.isWorse {
		addr := h.open[c.node.pickHost(h.open, c.name)].Addr
		c.node.suggest(func(now time.Time) { c.node.loop.members.Visit(now, addr) })
	}
}

// waitAsGuest is WaitFor of a guest. It asks again and again, and visits nobody.
func (n *Node) waitAsGuest(ctx context.Context, service string, providers int) error {
	c, there := n.Caller(service), 0
	for {
		if f, failed := n.found(ctx, c); failed == nil {
			if there = f.callable; there >= providers {
				return nil
			}
		}
		select {
		case <-time.After(guestAgain):
		case <-ctx.Done():
			return waitedForProviders(service, there, providers, n.waitedInVain(ctx.Err()))
		case <-n.serving.provider.ctx.Done():
			return ErrClosed
		}
	}
}

// seedView is a part of what our seed says of the cluster, of now or of shortly before. Where no answer comes within
// Config.AckTimeout it is that of 10 s before at most, or nothing.
func (n *Node) seedView(part ViewPart) View {
	g := &n.calling.guest
	g.mu.Lock()
	f := g.answerTo(n, time.Now(), fmt.Sprint(viewService, part), func(f *find) { n.askSeedView(f, part) })
	g.mu.Unlock()
	patience := time.NewTimer(n.cfg.ackTimeout())
	defer patience.Stop()
	select {
	case <-f.donec:
	case <-patience.C:
	case <-n.serving.provider.ctx.Done():
	}
	if f = f.good(); !f.canStandIn() {
		return View{}
	}
	return f.view
}

// askSeedView asks for it.
func (n *Node) askSeedView(f *find, part ViewPart) {
	ctx, cancel := context.WithTimeout(n.serving.provider.ctx, n.cfg.callTimeout()+n.cfg.ackTimeout())
	defer cancel()
	f.known = 1
	f.end(n.askSeeds(func(host *conn) *Error {
		v, failed := n.Caller(viewService).askView(ctx, host, part)
		f.view = v.View
		return failed
	}))
}

// seedMembers is Members of a guest, which is none of them.
func (n *Node) seedMembers() []Member {
	var list []Member
	for _, m := range n.seedView(ViewMembers).Members {
		m.Self = false // that is the seed
		list = append(list, m.Member)
	}
	return list
}

// visitedAt is a link to a member whose address is known.
func (c *Caller) visitedAt(ctx context.Context, addr netip.AddrPort) (l *conn, _ *Error) {
	waiting, cancel := context.WithTimeout(ctx, c.node.cfg.ackTimeout())
	defer cancel()
	if c.node.do(func(now time.Time) { c.node.loop.members.Visit(now, addr) }) == nil {
		_ = c.node.await(waiting, func(v *view) bool {
			p := member.WhoAt(v.peers, addr)
			if p != nil && p.Link != 0 {
				l = c.node.linking.tokens.Link(p.Link)
			}
			return l != nil || p != nil && p.Unreachable
		})
	}
	switch {
	case l != nil:
		return l, nil
	case ctx.Err() != nil:
		return nil, c.over(ctx, No)
	case c.node.isClosed():
		return nil, c.closed(No)
	}
	return nil, c.newError(Unreachable, No, "nothing came back from there")
}
