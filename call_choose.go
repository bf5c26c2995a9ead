package broach

import (
	"fmt"
	"net/netip"
	"slices"
)

// choose finds the provider that a call goes to next: the link of a peer, the node's own, or nil if none is left.
func (c *Caller) choose(r *route, ch *chooser) (*link, *Error) {
	_, byLoad := c.opts.balancer.(leastLoaded)
	byLoad = byLoad || c.opts.balancer == nil
	switch {
	case c.opts.on.IsValid():
		return r.at(c.opts.on, ch.tried), nil
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
func (r *route) at(addr netip.AddrPort, tried []*link) *link {
	for _, l := range r.links() {
		if l.id.addr == addr && !slices.Contains(tried, l) {
			return l
		}
	}
	return nil
}

// eligible lists those that a Balancer may choose from.
func (c *Caller) eligible(r *route, ch *chooser) []candidate {
	r.know(ch.service, ch.now)
	from := slices.Clone(ch.left(r.alive)) // which is everybody's
	if c.opts.local == LocalEqual && c.here() != nil {
		from = append(from, candidate{link: c.node.self, weight: c.here().weightAt()})
	}
	if len(from) == 0 {
		from = slices.Clone(ch.left(r.doubtful))
	}
	slices.SortFunc(from, func(a, b candidate) int { return c.addrOf(a).Compare(c.addrOf(b)) })
	return from
}

// addrOf is the address of a candidate, of which this node's own may have been learnt late.
func (c *Caller) addrOf(d candidate) netip.AddrPort {
	if d.link == c.node.self {
		return c.node.Addr()
	}
	return d.id.addr
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
	ch.chosen = from[i].known
	return from[i].link, nil
}
