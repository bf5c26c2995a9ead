package broach

import (
	"fmt"
	"net/netip"
	"slices"
)

// choose finds the provider that a call goes to next, and enters it: the link of a peer, the node's own, or nil if none is left.
// Those whose breaker does not let the call through are passed over.
func (c *Caller) choose(r *route, ch *chooser) (*link, *Error) {
	for {
		l, failed := c.find(r, ch)
		if l == nil || ch.chosen.enter() {
			return l, failed
		}
		ch.shut = append(ch.shut, l)
	}
}

// nobody is the error of a call that found no provider at all: those there are, if any, are shut.
func (c *Caller) nobody(r *route) *Error {
	on := c.opts.on
	switch shut := r.links(); {
	case !on.IsValid() && len(shut) > 0:
		return c.fail(CircuitOpen, No, string(textOpen))
	case slices.ContainsFunc(shut, func(l *link) bool { return l.id.Addr == on }):
		return c.at(on, c.fail(CircuitOpen, No, string(textOpen)))
	}
	return c.unreached()
}

// unreached is the error where there is nobody to call.
func (c *Caller) unreached() *Error {
	return c.fail(Unavailable, No, "no provider of this function can be reached now"+c.node.notJoined(c.node.view.Load()))
}

// find finds a provider.
func (c *Caller) find(r *route, ch *chooser) (*link, *Error) {
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
		return ch.among(from), nil
	}
	return c.ask(from, ch)
}

// at finds the provider with an address.
func (r *route) at(addr netip.AddrPort, ch *chooser) *link {
	r.know(ch.service, ch.now)
	for _, list := range [][]candidate{r.alive, r.doubtful} {
		for i := range list {
			if d := &list[i]; d.id.Addr == addr && !ch.isOut(d.link) {
				ch.chosen = visit{link: d.link, known: d.known}
				return d.link
			}
		}
	}
	return nil
}

// eligible lists those that a Balancer may choose from.
func (c *Caller) eligible(r *route, ch *chooser) []candidate {
	r.know(ch.service, ch.now)
	from := ch.open(r.alive)
	if c.opts.local == LocalEqual && c.here() != nil && !ch.isOut(c.node.self) {
		from = append(from, candidate{link: c.node.self, weight: c.here().weightAt()})
	}
	if len(from) == 0 {
		from = ch.open(r.doubtful)
	}
	slices.SortFunc(from, func(a, b candidate) int { return c.addrOf(a).Compare(c.addrOf(b)) })
	return from
}

// open is a copy of a list, which is everybody's, without those that cannot be chosen.
func (ch *chooser) open(list []candidate) []candidate {
	return slices.DeleteFunc(slices.Clone(list), func(d candidate) bool { return ch.isOut(d.link) || d.isShut() })
}

// addrOf is the address of a candidate, of which this node's own may have been learnt late.
func (c *Caller) addrOf(d candidate) netip.AddrPort {
	if d.link == c.node.self {
		return c.node.Addr()
	}
	return d.id.Addr
}

// ask lets the Balancer choose. It is user code: what it does wrong fails the call, and nothing else.
func (c *Caller) ask(from []candidate, ch *chooser) (l *link, failed *Error) {
	providers := make([]Provider, len(from))
	for i, d := range from {
		providers[i] = Provider{
			Addr: c.addrOf(d), Self: d.link == c.node.self, InFlight: int(d.inflight.Load()), Latency: d.latency(), Weight: d.weight,
		}
	}
	defer func() {
		if v := recover(); v != nil {
			failed = c.fail(Internal, No, fmt.Sprintf("the Balancer panicked: %v", v))
		}
	}()
	i := c.opts.balancer.Pick(CallInfo{Service: c.name, Key: c.opts.key, Random: c.node.draw()}, providers)
	if i < 0 || i >= len(from) {
		return nil, c.fail(Internal, No, fmt.Sprintf("the Balancer chose %d of %d", i, len(from)))
	}
	ch.chosen = visit{link: from[i].link, known: from[i].known}
	return from[i].link, nil
}
