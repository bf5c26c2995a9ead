package broach

import (
	"net/netip"
	"time"

	"broach/internal/udp"
)

// What the log tells of those who are not let in, so that the operator of either side finds out why. Each is counted, and told of in measure.

// unopened is for a datagram that no key opens.
func (r *reader) unopened(now time.Time, d udp.Datagram) {
	r.stats.unopened.Add(1)
	r.noteSeed(d.Addr, cameUnopened)
	if r.wires.Ring.Load() == nil {
		r.tellOf(now, d.Addr, "broach: datagrams that no key of this node opens, for it has none: give it the Keys of its cluster")
		return
	}
	r.tellOf(now, d.Addr, "broach: datagrams that no key of this node opens: who sends them has other Keys, or none")
}

// otherCluster is for an Open of a node whose cluster has another name.
func (r *reader) otherCluster(now time.Time, d udp.Datagram) {
	r.stats.otherCluster.Add(1)
	r.noteSeed(d.Addr, cameOtherCluster)
	r.tellOf(now, d.Addr, "broach: a node of another cluster asks for a link: give both the same Cluster, or it other seeds")
}

// otherVersion is for a datagram of another version of the protocol.
func (r *reader) otherVersion(now time.Time, d udp.Datagram) {
	r.stats.foreignVersion.Add(1)
	r.noteSeed(d.Addr, cameOtherVersion)
	r.tellOf(now, d.Addr, "broach: datagrams of another version of the protocol: bring both sides to the same version of broach")
}

// refused is for an introduction with an address that is of no use.
func (r *reader) refused(now time.Time, from, advertised netip.AddrPort) {
	r.stats.unusable.Add(1)
	if r.strangers.told.isNew(now, from) {
		r.log.Warn("broach: a node advertises an address that cannot be reached from here: it needs Advertise", "from", from, "advertised", advertised)
	}
}

// noRoom is for a node that is refused because we know as many as we may.
func (r *reader) noRoom(now time.Time, addr netip.AddrPort) {
	r.tellOf(now, addr, "broach: a node is not let in, for it knows as many members as it can: divide the cluster")
}

// noteSeed notes what came from a seed that makes no member of it.
func (r *reader) noteSeed(from netip.AddrPort, came seedAnswer) {
	if r.isSeed(from) {
		r.seedNotes.note(from, came)
	}
}

// doubled is for another process that advertises the address of this one.
func (r *reader) doubled(now time.Time, from netip.AddrPort) {
	r.stats.unusable.Add(1)
	r.tellOf(now, from, "broach: another node advertises the address of this one: what is sent to either comes to one of them, so give each its own Advertise")
}

// tellOf tells the operator of who sent a datagram.
func (r *reader) tellOf(now time.Time, from netip.AddrPort, text string) {
	if r.strangers.told.isNew(now, from) {
		r.log.Warn(text, "from", from)
	}
}
