package link

import (
	"broach/internal/pace"
	"broach/internal/seal"
)

// Overhead is by how much datagrams are longer on the wire than PROTOCOL.md counts them.
func (c *Carrier) Overhead() int {
	if c.Ring.Load() == nil {
		return 0
	}
	return seal.Overhead
}

// IsSealed reports whether what goes on the link is sealed.
func (l *Link) IsSealed() bool { return l.sealed != nil }

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
func (l *Link) sealer(number uint64) *seal.Sealer {
	s := l.sealed
	if s == nil {
		return nil
	}
	if ring := l.carrier.Ring.Load(); s.sealer == nil || !s.sealer.Seals(ring, number) {
		s.sealer = ring.Sealer(&s.secret, number)
	}
	return s.sealer
}

// Open decrypts what follows the first head bytes of a datagram, and reports whether it may be looked at, [SEC-3]. The
// reader calls it.
func (l *Link) Open(datagram []byte, head int, keyID byte) ([]byte, bool) {
	if l.sealed == nil {
		return datagram[head:], true
	}
	opened, err := l.sealed.opener.Open(l.carrier.Ring.Load(), &l.sealed.secret, datagram, head, keyID,
		l.window.highest)
	return opened, err == nil
}
