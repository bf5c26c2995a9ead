package broach

import (
	"net/netip"
	"time"

	"broach/internal/gate"
	"broach/internal/seedbook"
)

// What the log tells of those who are not let in, so that the operator of either side finds out why. Each is counted,
// and told of in measure.

// judge counts a datagram by what the gate has found out of it, and tells of its sender.
func (r *reader) judge(now time.Time, from netip.AddrPort, a *gate.Arrival[*conn]) {
	switch s := &r.node.stats; a.Verdict {
	case gate.Malformed:
		s.malformed.Add(1)
	case gate.Replayed:
		s.replayed.Add(1)
	case gate.Stranger:
		s.stranger.Add(1)
	case gate.Unanswered:
		s.unanswered.Add(1)
	case gate.Unopened:
		s.unopened.Add(1)
		r.noteSeed(from, seedbook.CameUnopened)
		r.tellOf(now, from, r.textUnopened())
	case gate.OtherCluster:
		s.otherCluster.Add(1)
		r.noteSeed(from, seedbook.CameOtherCluster)
		r.tellOf(now, from,
			"broach: a node of another cluster asks for a link: give both the same Cluster, or it other seeds")
	case gate.OtherVersion:
		s.foreignVersion.Add(1)
		r.noteSeed(from, seedbook.CameOtherVersion)
		r.tellOf(now, from,
			"broach: datagrams of another version of the protocol: bring both sides to the same version of broach")
	case gate.Doubled:
		s.unusable.Add(1)
		r.tellOf(now, from, "broach: another node advertises the address of this one: what is sent to either comes to"+
			" one of them, so give each its own Advertise")
	case gate.Useless:
		s.unusable.Add(1)
		r.tellOfBoth(now, from, a.Advertised,
			"broach: a node advertises an address that cannot be reached from here: it needs Advertise")
	case gate.Full:
		r.tellOf(now, a.Advertised,
			"broach: a node is not let in, for it knows as many members as it can: divide the cluster")
	case gate.Refused:
		r.noteSeed(from, seedbook.CameNoRoom)
	case gate.InVain:
		r.tellUnheard(now, from, a.Advertised)
	}
}

// textUnopened says of datagrams that no key opens what may be wrong.
func (r *reader) textUnopened() string {
	if r.node.linking.wires.Ring.Load() == nil {
		return "broach: datagrams that no key of this node opens, for it has none: give it the Keys of its cluster"
	}
	return "broach: datagrams that no key of this node opens: who sends them has other Keys, or none"
}

// noteSeed notes what came from a seed that makes no member of it.
func (r *reader) noteSeed(from netip.AddrPort, came seedbook.Answer) {
	if r.node.linking.gate.IsSeed(from) {
		r.node.seedNotes.Note(from, came)
	}
}

// tellOf tells the operator of who sent a datagram.
func (r *reader) tellOf(now time.Time, from netip.AddrPort, text string) {
	if r.told.IsNew(now, from) {
		r.node.log.Warn(text, "from", from)
	}
}

// tellOfBoth tells of the address that it advertises, too.
func (r *reader) tellOfBoth(now time.Time, from, advertised netip.AddrPort, text string) {
	if r.told.IsNew(now, from) {
		r.node.log.Warn(text, "from", from, "advertised", advertised)
	}
}

// tellUnheard tells the operator of who asks for a link again and again and takes none: it is not reached by what is
// offered. It hears nothing, so its own log cannot say why; ours can. Where it advertises another address than it sends
// from, that is most likely the reason: NAT, a container, or a wrong port.
func (r *reader) tellUnheard(now time.Time, from, advertised netip.AddrPort) {
	if from == advertised { // it may be that one of us has too much to do
		r.node.detail(now, "broach: a node asks for a link again and again and takes none: does what this node sends"+
			" to it arrive?", "addr", advertised)
		return
	}
	r.tellOfBoth(now, from, advertised, "broach: a node asks for a link from another address than it advertises, and"+
		" hears nothing at that one: set its Advertise to an address and port at which it is reached, through NAT too")
}
