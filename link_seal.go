package broach

import (
	"sync"
	"sync/atomic"

	"broach/internal/handshake"
	"broach/internal/pace"
	"broach/internal/seal"
	"broach/internal/wire"
)

// sealing is what a node needs to seal its datagrams, PROTOCOL.md 1.4. Without keys it does nothing.
type sealing struct {
	ring   atomic.Pointer[seal.Ring] // nil: there are no keys, nor will there be
	shared sharedSecrets
}

// overhead is by how much datagrams are longer on the wire than PROTOCOL.md counts them.
func (s *sealing) overhead() int {
	if s.ring.Load() == nil {
		return 0
	}
	return seal.Overhead
}

// sharedSecrets keeps what X25519 made of our private key and others' public ones, so that another link with the same process costs none, [SEC-2].
type sharedSecrets struct {
	most int // are kept; others are made anew

	mu    sync.Mutex // protects all below: the reader and the loop make links. It is held for the 60 us that one takes
	known map[wire.PublicKey][seal.KeySize]byte
	order []wire.PublicKey // the oldest first
	made  uint64           // how often X25519 was computed
}

// of returns what we share with the process that has a public key. The error is that of a public key that is none.
func (s *sharedSecrets) of(p *handshake.Process, key wire.PublicKey) ([seal.KeySize]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if shared, ok := s.known[key]; ok {
		return shared, nil
	}
	s.made++
	shared, err := p.Shared(key)
	if err != nil {
		return shared, err
	}
	if s.known == nil {
		s.known = make(map[wire.PublicKey][seal.KeySize]byte)
	}
	if len(s.order) == s.most {
		delete(s.known, s.order[0])
		s.order = s.order[1:]
	}
	s.known[key], s.order = shared, append(s.order, key)
	return shared, nil
}

// has reports whether no X25519 is needed for a public key.
func (s *sharedSecrets) has(key wire.PublicKey) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.known[key]
	return ok
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
