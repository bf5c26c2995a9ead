package gate

import (
	"sync"

	"broach/internal/member"
	"broach/internal/seal"
	"broach/internal/wire"
)

// secretsKept is how many outputs of X25519 are kept: those of all peers that there may be, and of some others that
// were tried last.
const secretsKept = member.PeersMax + 256

// secrets keeps what X25519 made of our private key and others' public ones, so that another link with the same process
// costs none, [SEC-2].
type secrets struct {
	mu    sync.Mutex // protects all below: the reader and the loop make links. It is held for the 60 us that one takes
	known map[wire.PublicKey][seal.KeySize]byte
	order []wire.PublicKey // the oldest first
	made  uint64           // how often X25519 was computed
}

// Shared returns what we share with the process that has a public key. The error is that of a public key that is none.
// It is safe for concurrent use.
func (g *Gate[H]) Shared(key wire.PublicKey) ([seal.KeySize]byte, error) {
	s := &g.secrets
	s.mu.Lock()
	defer s.mu.Unlock()
	if shared, ok := s.known[key]; ok {
		return shared, nil
	}
	s.made++
	shared, err := g.wires.Process.Shared(key)
	if err != nil {
		return shared, err
	}
	s.keep(key, shared)
	return shared, nil
}

// keep keeps an output in place of the oldest, where there are too many. mu is held.
func (s *secrets) keep(key wire.PublicKey, shared [seal.KeySize]byte) {
	if s.known == nil {
		s.known = make(map[wire.PublicKey][seal.KeySize]byte)
	}
	if len(s.order) == secretsKept {
		delete(s.known, s.order[0])
		s.order = s.order[1:]
	}
	s.known[key], s.order = shared, append(s.order, key)
}

// has reports whether no X25519 is needed for a public key.
func (s *secrets) has(key wire.PublicKey) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.known[key]
	return ok
}
