package broach

import (
	"encoding/binary"
	"net/netip"
	"time"

	"broach/internal/pace"
	"broach/internal/wire"
)

// Strangers are processes that have not shown yet that they get what is sent to them. What is done for all of them together is bounded here, by
// datagrams, by time and by address, [AMP-1] and [LNK-14]. It is the reader's.
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

// mayTry reports whether another Confirm may be tried. needsKey says that it costs an X25519, which counts whatever comes of it.
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

// seenOpens remembers the Opens that were answered, by the beginnings of their proofs: what is repeated is not answered again.
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
