package broach

import (
	"cmp"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"broach/internal/wire"
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

// route is where a function can be called. The providers are sorted by address.
type route struct {
	signature  string // without the name
	doc        string
	idempotent bool // all of them say so
	alive      []candidate
	doubtful   []candidate       // suspect or unsteady
	offline    int               // providers that cannot be called now, or do not serve
	groups     map[string]*route // by application name, if the event of a topic goes to one of each; else nil

	calling sync.Mutex  // held by the first call, which finds out what is known of the providers
	called  atomic.Bool // it has
}

// candidate is a provider that a call could go to.
type candidate struct {
	*link
	weight int
	known  *experience // from the first call on; nil for this node itself
}

// latency is how long the function takes there of late; 0: not known.
func (d *candidate) latency() time.Duration {
	if d.known == nil {
		return 0
	}
	return time.Duration(d.known.latency.Load())
}

// links are those of all providers that a call could go to. A nil route has none.
func (r *route) links() (all []*link) {
	if r == nil {
		return nil
	}
	for _, list := range [][]candidate{r.alive, r.doubtful} {
		for i := range list {
			all = append(all, list[i].link)
		}
	}
	return all
}

// add takes up a peer that offers the function.
func (r *route) add(p *peerView, l *link, f *wire.Function) {
	r.idempotent = r.idempotent && f.Idempotent
	r.doc = cmp.Or(r.doc, f.Doc)
	c := candidate{link: l, weight: cmp.Or(int(f.Weight), weightUnsaid)}
	switch {
	case p.unreachable, p.draining, f.Paused:
		r.offline++
	case p.state == Alive && !p.unsteady:
		r.alive = append(r.alive, c)
	case p.state == Alive || p.state == Suspect:
		r.doubtful = append(r.doubtful, c)
	default:
		r.offline++
	}
}

// routesOf builds the routes from what the peers offer. link finds a link by its token; a peer without one cannot be called.
func routesOf(peers []peerView, link func(token uint64) *link) map[string]*route {
	routes := make(map[string]*route)
	for i := range peers {
		p := &peers[i]
		l := link(p.link)
		if l == nil || p.state == Left {
			continue
		}
		for i := range p.functions {
			f := &p.functions[i]
			r := routes[f.Name]
			if r == nil {
				r = &route{signature: f.Signature, idempotent: true}
				routes[f.Name] = r
			}
			r.add(p, l, f)
			if isGrouped(f.Name) {
				r.group(p.name).add(p, l, f)
			}
		}
	}
	return routes
}
