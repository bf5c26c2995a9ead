package broach

import (
	"net/netip"
	"slices"
	"time"
)

// view is what a node knows of the cluster at one moment. It is immutable and published as a whole; calls read it without
// a lock.
type view struct {
	self       netip.AddrPort    // our address
	began      time.Time         // of this node's membership
	peers      []peerView        // sorted by address
	routes     map[string]*route // by function name
	joined     bool
	isolated   bool
	heartbeats float64       // a second
	nextc      chan struct{} // closed when a newer view is published
}

// route is where a function can be called. The links are sorted by the address of their peer.
type route struct {
	signature string // without the name
	alive     []*link
	doubtful  []*link // suspect or unsteady
	offline   int     // providers that cannot be called
}

// links are those of the providers that a call could go to. A nil route has none.
func (r *route) links() []*link {
	if r == nil {
		return nil
	}
	return slices.Concat(r.alive, r.doubtful)
}

// add takes up a peer that offers the function.
func (r *route) add(p *peerView, l *link) {
	switch {
	case p.unreachable, p.draining:
		r.offline++
	case p.state == Alive && !p.unsteady:
		r.alive = append(r.alive, l)
	case p.state == Alive || p.state == Suspect:
		r.doubtful = append(r.doubtful, l)
	default:
		r.offline++
	}
}

// pick chooses a peer, or nil if none is left. Suspect and unsteady ones are chosen only when nobody else is left; those in tried never.
func (r *route) pick(random func(n int) int, tried []*link) *link {
	if l := pickOf(r.alive, random, tried); l != nil {
		return l
	}
	return pickOf(r.doubtful, random, tried)
}

// pickOf takes, of two random links, that with fewer of our calls in flight: the power of two choices (Mitzenmacher, 2001).
// The first of the two wins a tie, which is as random as the choice of it.
func pickOf(links []*link, random func(n int) int, tried []*link) *link {
	if len(tried) > 0 {
		links = slices.DeleteFunc(slices.Clone(links), func(l *link) bool { return slices.Contains(tried, l) })
	}
	switch len(links) {
	case 0:
		return nil
	case 1:
		return links[0]
	}
	i := random(len(links))
	j := (i + 1 + random(len(links)-1)) % len(links)
	if links[j].inflight.Load() < links[i].inflight.Load() {
		return links[j]
	}
	return links[i]
}

// routesOf builds the routes from what the peers offer. link finds the link of a peer; a peer without one cannot be called.
func routesOf(peers []peerView, link func(boot uint64) *link) map[string]*route {
	routes := make(map[string]*route)
	for i := range peers {
		p := &peers[i]
		l := link(p.boot)
		if l == nil || p.state == Left {
			continue
		}
		for _, f := range p.functions {
			r := routes[f.Name]
			if r == nil {
				r = &route{signature: f.Signature}
				routes[f.Name] = r
			}
			r.add(p, l)
		}
	}
	return routes
}
