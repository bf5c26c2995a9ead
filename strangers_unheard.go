package broach

import (
	"net/netip"
	"time"
)

// Who asks for a link again and again and takes none is not reached by what is offered. It hears nothing, so its own log cannot say why; ours can. Where
// it advertises another address than it sends from, that is most likely the reason: NAT, a container, or a wrong port.

const (
	unheardFor = 2 * time.Second  // how long it has asked in vain until the log tells
	unheardGap = 10 * time.Second // after which it has begun anew: who finds no link asks every 5 s at the least
	unheardMax = 64               // of them that are watched
)

// plea is what we know of who asks for a link again and again.
type plea struct{ first, last time.Time }

// pleas are those who advertise one address and send from another. The zero value knows nobody.
type pleas struct{ by map[netip.AddrPort]plea }

// add notes another Open that names an address, and reports whether they have been coming for long.
func (s *pleas) add(now time.Time, addr netip.AddrPort) bool {
	p, ok := s.by[addr]
	if !ok && len(s.by) >= unheardMax {
		s.by = nil // a flood: who goes on is here again at once
	}
	if s.by == nil {
		s.by = make(map[netip.AddrPort]plea)
	}
	if !ok || now.Sub(p.last) > unheardGap {
		p.first = now
	}
	p.last = now
	s.by[addr] = p
	return now.Sub(p.first) >= unheardFor
}

// noteUnheard notes that an Open was answered, and tells the operator of who does not hear that.
func (r *reader) noteUnheard(now time.Time, from, advertised netip.AddrPort) {
	if len(r.tokens.at(advertised)) > 0 {
		delete(r.strangers.pleas.by, advertised)
		return
	}
	switch isLong := r.strangers.pleas.add(now, advertised); {
	case !isLong:
	case from == advertised: // it may be that one of us has too much to do
		r.detail(now, "broach: a node asks for a link again and again and takes none: does what this node sends to it arrive?", "addr", advertised)
	case r.strangers.told.isNew(now, from):
		r.log.Warn("broach: a node asks for a link from another address than it advertises, and hears nothing at that one: set its Advertise to an address"+
			" and port at which it is reached, through NAT too", "from", from, "advertised", advertised)
	}
}
