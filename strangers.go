package broach

import (
	"encoding/binary"
	"net/netip"
	"time"

	"broach/internal/pace"
	"broach/internal/udp"
	"broach/internal/wire"
)

// What strangers can make this node do is bounded here. They are processes that have not shown yet that they get what
// is sent to them, and, where there are keys, that they have one. docs/SECURITY.md has the whole table.
const (
	opensBatch    = 96    // Opens that are looked at, of the 256 datagrams of a batch
	confirmsBatch = 96    // and Confirms with a token that is not known
	offersPerSec  = 4096  // Offers in a second, [AMP-1]: one for each peer that there may be
	offersKnown   = 1024  // of them for the addresses of peers and seeds alone
	offersEach    = 8     // to one address
	derivedBatch  = 16    // X25519 for links that others begin, in one batch, [LNK-14]: a millisecond
	derivedPerSec = 2000  // and in a second
	linksPerSec   = 2000  // such links in a second, and as many of peers and seeds
	seenMax       = 16384 // Opens that were answered and are remembered, of two generations each, with keys
	// addresses that the log tells of in a minute: no key opens what they send, or they are of another cluster or
	// version
	strangersMax   = 256
	strangersEvery = time.Minute // and then again
)

// Strangers are processes that have not shown yet that they get what is sent to them. What is done for all of them
// together is bounded here, by datagrams, by time and by address, [AMP-1] and [LNK-14]. It is the reader's.
type strangers struct {
	opens    int // Opens that were looked at, in this batch
	confirms int // Confirms with a token that is not known, likewise
	derived  int // X25519, likewise
	offers   pace.Quota
	asks     pace.Allowance // answered by asking
	made     pace.Quota
	secrets  pace.Allowance         // X25519 in this second
	perAddr  map[netip.AddrPort]int // Offers to an address in this second
	until    time.Time              // the end of it
	seen     seenOpens
	told     toldOf
	pleas    pleas
}

// begin is called before each batch.
func (s *strangers) begin(now time.Time) {
	s.opens, s.confirms, s.derived = 0, 0, 0
	if s.perAddr != nil && !now.Before(s.until) {
		s.perAddr = nil
	}
}

// mayOffer reports whether an Open that names an address may be answered.
func (s *strangers) mayOffer(now time.Time, addr netip.AddrPort, isKnown bool) bool {
	if s.perAddr == nil {
		s.perAddr, s.until = make(map[netip.AddrPort]int), now.Add(time.Second)
	}
	if s.perAddr[addr] >= offersEach || !s.offers.Take(now, isKnown, offersKnown, offersPerSec-offersKnown) {
		return false
	}
	s.perAddr[addr]++
	return true
}

// hasOffered reports whether an Open that names an address was answered in this second.
func (s *strangers) hasOffered(now time.Time, addr netip.AddrPort) bool {
	return now.Before(s.until) && s.perAddr[addr] > 0
}

// mayTry reports whether another Confirm may be tried. needsKey says that it costs an X25519, which counts whatever
// comes of it.
func (s *strangers) mayTry(now time.Time, needsKey bool) bool {
	if !needsKey {
		return true
	}
	s.derived++
	return s.derived <= derivedBatch && s.secrets.Take(now, derivedPerSec)
}

// mayLink reports whether another link may be made.
func (s *strangers) mayLink(now time.Time, isKnown bool) bool {
	return s.made.Take(now, isKnown, linksPerSec, linksPerSec)
}

// seenOpens remembers the Opens that were answered, by the beginnings of their proofs: what is repeated is not answered
// again.
type seenOpens struct{ young, old map[uint64]struct{} }

// has reports whether a proof was seen.
func (s *seenOpens) has(proof wire.Proof) bool {
	k := binary.BigEndian.Uint64(proof[:])
	_, young := s.young[k]
	_, old := s.old[k]
	return young || old
}

// add remembers a proof.
func (s *seenOpens) add(proof wire.Proof) {
	if s.young == nil || len(s.young) >= seenMax {
		s.young, s.old = make(map[uint64]struct{}), s.young
	}
	s.young[binary.BigEndian.Uint64(proof[:])] = struct{}{}
}

// toldOf remembers who the log was told of in the present minute.
type toldOf struct {
	addrs map[netip.AddrPort]bool
	until time.Time // the end of the minute
}

// isNew reports whether an address is to be told of. When too many were, the next are only counted: a flood must not
// cost more than it is worth.
func (t *toldOf) isNew(now time.Time, addr netip.AddrPort) bool {
	if !now.Before(t.until) {
		t.addrs, t.until = make(map[netip.AddrPort]bool), now.Add(strangersEvery)
	}
	if t.addrs[addr] || len(t.addrs) == strangersMax {
		return false
	}
	t.addrs[addr] = true
	return true
}

// What the log tells of those who are not let in, so that the operator of either side finds out why. Each is counted,
// and told of in measure.

// unopened is for a datagram that no key opens.
func (r *reader) unopened(now time.Time, d udp.Datagram) {
	r.node.stats.unopened.Add(1)
	r.noteSeed(d.Addr, cameUnopened)
	if r.node.linking.wires.Ring.Load() == nil {
		r.tellOf(now, d.Addr, "broach: datagrams that no key of this node opens, for it has none: give it the Keys of its cluster")
		return
	}
	r.tellOf(now, d.Addr, "broach: datagrams that no key of this node opens: who sends them has other Keys, or none")
}

// otherCluster is for an Open of a node whose cluster has another name.
func (r *reader) otherCluster(now time.Time, d udp.Datagram) {
	r.node.stats.otherCluster.Add(1)
	r.noteSeed(d.Addr, cameOtherCluster)
	r.tellOf(now, d.Addr, "broach: a node of another cluster asks for a link: give both the same Cluster, or it other seeds")
}

// otherVersion is for a datagram of another version of the protocol.
func (r *reader) otherVersion(now time.Time, d udp.Datagram) {
	r.node.stats.foreignVersion.Add(1)
	r.noteSeed(d.Addr, cameOtherVersion)
	r.tellOf(now, d.Addr, "broach: datagrams of another version of the protocol: bring both sides to the same version of broach")
}

// refused is for an introduction with an address that is of no use.
func (r *reader) refused(now time.Time, from, advertised netip.AddrPort) {
	r.node.stats.unusable.Add(1)
	if r.strangers.told.isNew(now, from) {
		r.node.log.Warn("broach: a node advertises an address that cannot be reached from here: it needs Advertise", "from", from, "advertised", advertised)
	}
}

// noRoom is for a node that is refused because we know as many as we may.
func (r *reader) noRoom(now time.Time, addr netip.AddrPort) {
	r.tellOf(now, addr, "broach: a node is not let in, for it knows as many members as it can: divide the cluster")
}

// noteSeed notes what came from a seed that makes no member of it.
func (r *reader) noteSeed(from netip.AddrPort, came seedAnswer) {
	if r.isSeed(from) {
		r.node.seedNotes.note(from, came)
	}
}

// doubled is for another process that advertises the address of this one.
func (r *reader) doubled(now time.Time, from netip.AddrPort) {
	r.node.stats.unusable.Add(1)
	r.tellOf(now, from, "broach: another node advertises the address of this one: what is sent to either comes to one of them, so give each its own Advertise")
}

// tellOf tells the operator of who sent a datagram.
func (r *reader) tellOf(now time.Time, from netip.AddrPort, text string) {
	if r.strangers.told.isNew(now, from) {
		r.node.log.Warn(text, "from", from)
	}
}

// Who asks for a link again and again and takes none is not reached by what is offered. It hears nothing, so its own
// log cannot say why; ours can. Where it advertises another address than it sends from, that is most likely the reason:
// NAT, a container, or a wrong port.

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

// noteUnheard notes that an Open was answered, and tells the operator of who does not hear that. Another process may be
// at that address, and hear it.
func (r *reader) noteUnheard(now time.Time, from netip.AddrPort, key wire.PublicKey, advertised netip.AddrPort) {
	if r.node.linking.tokens.Held(key, advertised) > 0 {
		delete(r.strangers.pleas.by, advertised)
		return
	}
	switch isLong := r.strangers.pleas.add(now, advertised); {
	case !isLong:
	case from == advertised: // it may be that one of us has too much to do
		r.node.detail(now, "broach: a node asks for a link again and again and takes none: does what this node sends to it arrive?", "addr", advertised)
	case r.strangers.told.isNew(now, from):
		r.node.log.Warn("broach: a node asks for a link from another address than it advertises, and hears nothing at that one: set its Advertise to an address"+
			" and port at which it is reached, through NAT too", "from", from, "advertised", advertised)
	}
}
