package broach

import (
	"encoding/binary"
	"net/netip"
	"time"

	"broach/internal/wire"
)

// Strangers are processes that have not shown yet that they get what is sent to them. What is done for all of them together is bounded here, by
// datagrams, by time and by address, [AMP-1] and [LNK-14]. It is the reader's.
type strangers struct {
	looked  int // datagrams without a known token, in this batch
	derived int // X25519 in this batch
	links   int // made in this batch
	offers  shares
	made    shares
	perAddr map[netip.AddrPort]int // Offers to an address in this second
	until   time.Time              // the end of it
	seen    seenOpens
	told    toldOf
}

// shares is an allowance of a second that is divided: those who are known have some of it for themselves.
type shares struct{ known, all allowance }

func (s *shares) take(now time.Time, isKnown bool, known, all int) bool {
	return isKnown && s.known.take(now, known) || s.all.take(now, all)
}

// begin is called before each batch.
func (s *strangers) begin() { s.looked, s.derived, s.links = 0, 0, 0 }

// look reports whether another datagram without a known token may be looked at in this batch.
func (s *strangers) look() bool {
	s.looked++
	return s.looked <= strangersBatch
}

// mayOffer reports whether an Open that names an address may be answered.
func (s *strangers) mayOffer(now time.Time, addr netip.AddrPort, isKnown bool) bool {
	if !now.Before(s.until) {
		s.perAddr, s.until = make(map[netip.AddrPort]int), now.Add(time.Second)
	}
	if s.perAddr[addr] >= offersEach || !s.offers.take(now, isKnown, offersKnown, offersPerSec-offersKnown) {
		return false
	}
	s.perAddr[addr]++
	return true
}

// mayTry reports whether another Confirm may be looked at in this batch. needsKey says that it costs an X25519, which counts whatever comes of it.
func (s *strangers) mayTry(needsKey bool) bool {
	if s.links >= linksBatch || needsKey && s.derived >= derivedBatch {
		return false
	}
	if needsKey {
		s.derived++
	}
	return true
}

// mayLink reports whether another link may be made.
func (s *strangers) mayLink(now time.Time, isKnown bool) bool {
	s.links++
	return s.made.take(now, isKnown, linksPerSec, linksPerSec)
}

// seenOpens remembers the Opens that were answered, by the beginnings of their proofs: what is repeated is not answered again.
type seenOpens struct{ young, old map[uint64]struct{} }

// isNew reports whether a proof has not been seen, and remembers it.
func (s *seenOpens) isNew(proof wire.Proof) bool {
	k := binary.BigEndian.Uint64(proof[:])
	if _, ok := s.young[k]; ok {
		return false
	}
	if _, ok := s.old[k]; ok {
		return false
	}
	if s.young == nil || len(s.young) >= seenMax {
		s.young, s.old = make(map[uint64]struct{}), s.young
	}
	s.young[k] = struct{}{}
	return true
}

// toldOf remembers who the log was told of in the present minute.
type toldOf struct {
	addrs map[netip.AddrPort]bool
	until time.Time // the end of the minute
}

// isNew reports whether an address is to be told of. When too many were, the next are only counted: a flood must not cost more than it is worth.
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
