package broach

import (
	"net/netip"
	"time"

	"broach/internal/seedbook"
	"broach/internal/udp"
	"broach/internal/wire"
)

// What the log tells of those who are not let in, so that the operator of either side finds out why. Each is counted,
// and told of in measure.

// unopened is for a datagram that no key opens.
func (r *reader) unopened(now time.Time, d udp.Datagram) {
	r.node.stats.unopened.Add(1)
	r.noteSeed(d.Addr, seedbook.CameUnopened)
	if r.node.linking.wires.Ring.Load() == nil {
		r.tellOf(now, d.Addr,
			"broach: datagrams that no key of this node opens, for it has none: give it the Keys of its cluster")
		return
	}
	r.tellOf(now, d.Addr, "broach: datagrams that no key of this node opens: who sends them has other Keys, or none")
}

// otherCluster is for an Open of a node whose cluster has another name.
func (r *reader) otherCluster(now time.Time, d udp.Datagram) {
	r.node.stats.otherCluster.Add(1)
	r.noteSeed(d.Addr, seedbook.CameOtherCluster)
	r.tellOf(now, d.Addr,
		"broach: a node of another cluster asks for a link: give both the same Cluster, or it other seeds")
}

// otherVersion is for a datagram of another version of the protocol.
func (r *reader) otherVersion(now time.Time, d udp.Datagram) {
	r.node.stats.foreignVersion.Add(1)
	r.noteSeed(d.Addr, seedbook.CameOtherVersion)
	r.tellOf(now, d.Addr,
		"broach: datagrams of another version of the protocol: bring both sides to the same version of broach")
}

// refused is for an introduction with an address that is of no use.
func (r *reader) refused(now time.Time, from, advertised netip.AddrPort) {
	r.node.stats.unusable.Add(1)
	if r.strangers.Told.IsNew(now, from) {
		r.node.log.Warn("broach: a node advertises an address that cannot be reached from here: it needs Advertise",
			"from", from, "advertised", advertised)
	}
}

// noRoom is for a node that is refused because we know as many as we may.
func (r *reader) noRoom(now time.Time, addr netip.AddrPort) {
	r.tellOf(now, addr, "broach: a node is not let in, for it knows as many members as it can: divide the cluster")
}

// noteSeed notes what came from a seed that makes no member of it.
func (r *reader) noteSeed(from netip.AddrPort, came seedbook.Answer) {
	if r.isSeed(from) {
		r.node.seedNotes.Note(from, came)
	}
}

// doubled is for another process that advertises the address of this one.
func (r *reader) doubled(now time.Time, from netip.AddrPort) {
	r.node.stats.unusable.Add(1)
	r.tellOf(now, from, "broach: another node advertises the address of this one: what is sent to either comes to one"+
		" of them, so give each its own Advertise")
}

// tellOf tells the operator of who sent a datagram.
func (r *reader) tellOf(now time.Time, from netip.AddrPort, text string) {
	if r.strangers.Told.IsNew(now, from) {
		r.node.log.Warn(text, "from", from)
	}
}

// Who asks for a link again and again and takes none is not reached by what is offered. It hears nothing, so its own
// log cannot say why; ours can. Where it advertises another address than it sends from, that is most likely the reason:
// NAT, a container, or a wrong port.

// noteUnheard notes that an Open was answered, and tells the operator of who does not hear that. Another process may be
// at that address, and hear it.
func (r *reader) noteUnheard(now time.Time, from netip.AddrPort, key wire.PublicKey, advertised netip.AddrPort) {
	if r.node.linking.tokens.Held(key, advertised) > 0 {
		r.strangers.Pleas.Heard(advertised)
		return
	}
	switch isLong := r.strangers.Pleas.Add(now, advertised); {
	case !isLong:
	case from == advertised: // it may be that one of us has too much to do
		r.node.detail(now, "broach: a node asks for a link again and again and takes none: does what this node sends"+
			" to it arrive?", "addr", advertised)
	case r.strangers.Told.IsNew(now, from):
		r.node.log.Warn("broach: a node asks for a link from another address than it advertises, and hears nothing at"+
			" that one: set its Advertise to an address"+
			" and port at which it is reached, through NAT too", "from", from, "advertised", advertised)
	}
}
