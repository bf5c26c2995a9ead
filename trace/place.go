package trace

import (
	"net/netip"
	"slices"
	"sync"

	"broach"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// place is what is made once for a name at one node: most calls go to few of them, and are well.
type place struct {
	addr  netip.AddrPort
	attrs []attribute.KeyValue    // its address
	start []trace.SpanStartOption // of a span of what is served for it
	tried []trace.EventOption     // of a first attempt there that went well
	ended []attribute.KeyValue    // of a call that needed no other one
}

type placeKey struct {
	name *name
	addr netip.AddrPort
}

// places has those of one Tracer.
type places struct {
	mu   sync.RWMutex // protects made: they come while calls look theirs up
	made map[placeKey]*place
}

// placesMost is how many are kept: nodes and names come and go. When there are more, all are made anew.
const placesMost = 4096

func (p *places) find(n *name, addr netip.AddrPort) *place {
	if last := n.last.Load(); last != nil && last.addr == addr {
		return last
	}
	k := placeKey{n, addr}
	p.mu.RLock()
	is := p.made[k]
	p.mu.RUnlock()
	if is == nil {
		is = newPlace(n, addr)
		p.keep(k, is)
	}
	n.last.Store(is)
	return is
}

func (p *places) keep(k placeKey, made *place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.made) >= placesMost {
		clear(p.made)
	}
	p.made[k] = made
}

func newPlace(n *name, addr netip.AddrPort) *place {
	var at []attribute.KeyValue
	if addr.IsValid() && n.kind != broach.OneRun {
		at = []attribute.KeyValue{
			attribute.String(peerAddress, addr.Addr().String()), attribute.Int(peerPort, int(addr.Port()))}
	}
	first := slices.Concat([]attribute.KeyValue{attribute.Int(attrAttempt, 1)}, at)
	return &place{addr: addr, attrs: at, tried: []trace.EventOption{trace.WithAttributes(first...)},
		ended: slices.Concat(at, []attribute.KeyValue{attribute.Int(attrAttempts, 1)}),
		start: []trace.SpanStartOption{n.start[0], trace.WithAttributes(slices.Concat(n.attrs, at)...)}}
}
