package broach

import (
	"sync/atomic"

	"broach/internal/pace"
	"broach/internal/seal"
	"broach/internal/wire"
)

// sealing is what a node needs to seal its datagrams, PROTOCOL.md 1.4. Without keys it does nothing.
type sealing struct {
	ring   atomic.Pointer[seal.Ring]                                   // nil: there are no keys, nor will there be
	shared func(wire.PublicKey) (secret [seal.KeySize]byte, err error) // X25519 of our private key and another's public one; the error is that of one that is none
}

// overhead is by how much datagrams are longer on the wire than PROTOCOL.md counts them.
func (s *sealing) overhead() int {
	if s.ring.Load() == nil {
		return 0
	}
	return seal.Overhead
}

// linkSeals are the keys of a link. Links of nodes without keys do without them: there are many.
type linkSeals struct {
	secret seal.Secret

	// the reader's
	opener seal.Opener
	far    pace.Allowance // of datagrams for which keys are made that are not kept

	// under the link's mutex
	sealer *seal.Sealer
}

// sealer is what seals the link's datagrams from a number on, or nil. mu is held.
func (l *link) sealer(number uint64) *seal.Sealer {
	s := l.sealed
	if s == nil {
		return nil
	}
	if ring := l.ring.Load(); s.sealer == nil || !s.sealer.Seals(ring, number) {
		s.sealer = ring.Sealer(&s.secret, number)
	}
	return s.sealer
}

// open decrypts what follows the first head bytes of a datagram, and reports whether it may be looked at, [SEC-3]. The reader calls it.
func (l *link) open(datagram []byte, head int, keyID byte) ([]byte, bool) {
	if l.sealed == nil {
		return datagram[head:], true
	}
	opened, err := l.sealed.opener.Open(l.ring.Load(), &l.sealed.secret, datagram, head, keyID, l.window.highest)
	return opened, err == nil
}
