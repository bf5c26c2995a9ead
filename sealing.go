package broach

import (
	"sync"

	"broach/internal/handshake"
	"broach/internal/member"
	"broach/internal/seal"
	"broach/internal/wire"
)

// sharedKept is how many outputs of X25519 are kept: those of all peers that there may be, and of some others that were tried last.
const sharedKept = member.PeersMax + 256

// SetKeys changes the keys of the cluster on a running node: the first seals, all open. To change the key of a cluster without a cut, give
// every node the new key behind the old one, then every node the new one first, and then every node the new one alone. The keys are
// copied; they obey the rules of Config.Keys. What is wrong with them is an InvalidArgument, as is a node that was started
// without keys; a closed node returns ErrClosed.
func (n *Node) SetKeys(keys [][]byte) error {
	ring, err := seal.NewRing(keys)
	switch {
	case n.isClosed():
		return ErrClosed
	case err != nil:
		return Errorf(InvalidArgument, "set keys: %w", err)
	case n.wires.Ring.Load() == nil:
		return Errorf(InvalidArgument, "set keys: the node was started without any")
	}
	n.wires.Ring.Store(ring)
	return nil
}

// sharedSecrets keeps what X25519 made of our private key and others' public ones, so that another link with the same process costs none, [SEC-2].
type sharedSecrets struct {
	process *handshake.Process

	mu    sync.Mutex // protects all below: the reader and the loop make links. It is held for the 60 us that one takes
	known map[wire.PublicKey][seal.KeySize]byte
	order []wire.PublicKey // the oldest first
	made  uint64           // how often X25519 was computed
}

// of returns what we share with the process that has a public key. The error is that of a public key that is none.
func (s *sharedSecrets) of(key wire.PublicKey) ([seal.KeySize]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if shared, ok := s.known[key]; ok {
		return shared, nil
	}
	s.made++
	shared, err := s.process.Shared(key)
	if err != nil {
		return shared, err
	}
	if s.known == nil {
		s.known = make(map[wire.PublicKey][seal.KeySize]byte)
	}
	if len(s.order) == sharedKept {
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
