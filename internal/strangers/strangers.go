// Package strangers bounds what processes can make a node do that have not shown yet that they get what is sent to
// them, and, where there are keys, that they have one: by datagrams of a batch, by time and by address, PROTOCOL.md
// [AMP-1] and [LNK-14]. docs/SECURITY.md has the table of all bounds.
//
// Why there are three kinds: the address of a stranger may be false, so bounds by address alone are none; and bounds
// for all strangers together let one that is loud shut out the others. So each holds where the other does not.
//
// It sends, reads and logs nothing, and has no clock and no lock: the reader of a node asks, and tells the time. Read
// Bounds first, then what the node remembers of strangers: the Opens that it answered, whom its log was told of, who
// asks in vain.
package strangers

import (
	"encoding/binary"
	"net/netip"
	"time"

	"broach/internal/pace"
	"broach/internal/wire"
)

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
	toldMax   = 256
	toldEvery = time.Minute // and then again
)

// Bounds is what is done for all strangers together. It is the reader's. The zero value has done nothing.
type Bounds struct {
	Seen  Seen
	Pleas Pleas
	Asks  pace.Allowance // Opens that are answered by asking who sent them

	opens    int // Opens that were looked at, in this batch
	confirms int // Confirms with a token that is not known, likewise
	derived  int // X25519, likewise
	offers   pace.Quota
	made     pace.Quota
	secrets  pace.Allowance         // X25519 in this second
	perAddr  map[netip.AddrPort]int // Offers to an address in this second
	until    time.Time              // the end of it
}

// Begin is called before each batch.
func (s *Bounds) Begin(now time.Time) {
	s.opens, s.confirms, s.derived = 0, 0, 0
	if s.perAddr != nil && !now.Before(s.until) {
		s.perAddr = nil
	}
}

// MayOpen reports whether another Open may be looked at in this batch.
func (s *Bounds) MayOpen() bool {
	s.opens++
	return s.opens <= opensBatch
}

// MayConfirm reports whether another Confirm may be looked at in this batch.
func (s *Bounds) MayConfirm() bool {
	s.confirms++
	return s.confirms <= confirmsBatch
}

// MayOffer reports whether an Open that names an address may be answered.
func (s *Bounds) MayOffer(now time.Time, addr netip.AddrPort, isKnown bool) bool {
	if s.perAddr == nil {
		s.perAddr, s.until = make(map[netip.AddrPort]int), now.Add(time.Second)
	}
	if s.perAddr[addr] >= offersEach || !s.offers.Take(now, isKnown, offersKnown, offersPerSec-offersKnown) {
		return false
	}
	s.perAddr[addr]++
	return true
}

// HasOffered reports whether an Open that names an address was answered in this second.
func (s *Bounds) HasOffered(now time.Time, addr netip.AddrPort) bool {
	return now.Before(s.until) && s.perAddr[addr] > 0
}

// MayTry reports whether another Confirm may be tried. needsKey says that it costs an X25519, which counts whatever
// comes of it.
func (s *Bounds) MayTry(now time.Time, needsKey bool) bool {
	if !needsKey {
		return true
	}
	s.derived++
	return s.derived <= derivedBatch && s.secrets.Take(now, derivedPerSec)
}

// MayLink reports whether another link may be made.
func (s *Bounds) MayLink(now time.Time, isKnown bool) bool {
	return s.made.Take(now, isKnown, linksPerSec, linksPerSec)
}

// Seen remembers the Opens that were answered, by the beginnings of their proofs: what is repeated is not answered
// again.
type Seen struct{ young, old map[uint64]struct{} }

// Has reports whether a proof was seen.
func (s *Seen) Has(proof wire.Proof) bool {
	k := binary.BigEndian.Uint64(proof[:])
	_, young := s.young[k]
	_, old := s.old[k]
	return young || old
}

// Add remembers a proof.
func (s *Seen) Add(proof wire.Proof) {
	if s.young == nil || len(s.young) >= seenMax {
		s.young, s.old = make(map[uint64]struct{}), s.young
	}
	s.young[binary.BigEndian.Uint64(proof[:])] = struct{}{}
}

// Told remembers who the log was told of in the present minute.
type Told struct {
	addrs map[netip.AddrPort]bool
	until time.Time // the end of the minute
}

// IsNew reports whether an address is to be told of. When too many were, the next are only counted: a flood must not
// cost more than it is worth.
func (t *Told) IsNew(now time.Time, addr netip.AddrPort) bool {
	if !now.Before(t.until) {
		t.addrs, t.until = make(map[netip.AddrPort]bool), now.Add(toldEvery)
	}
	if t.addrs[addr] || len(t.addrs) == toldMax {
		return false
	}
	t.addrs[addr] = true
	return true
}

const (
	unheardFor = 2 * time.Second  // how long it has asked in vain until the log tells
	unheardGap = 10 * time.Second // after which it has begun anew: who finds no link asks every 5 s at the least
	unheardMax = 64               // of them that are watched
)

// plea is what we know of who asks for a link again and again.
type plea struct{ first, last time.Time }

// Pleas are those who advertise one address and send from another. The zero value knows nobody.
type Pleas struct{ by map[netip.AddrPort]plea }

// Add notes another Open that names an address, and reports whether they have been coming for long.
func (s *Pleas) Add(now time.Time, addr netip.AddrPort) bool {
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

// Heard forgets who does not ask in vain.
func (s *Pleas) Heard(addr netip.AddrPort) { delete(s.by, addr) }
