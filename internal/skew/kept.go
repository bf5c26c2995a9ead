package skew

import (
	"sync"

	"broach/internal/wire"
)

const (
	keptMost = 1024    // descriptions,
	keptRoom = 4 << 20 // and their bytes
)

// An Edition is what a process offers at a time: the version of its table.
type Edition struct {
	wire.Process
	Table uint32
}

// Descriptions are those that came from peers, as they came: what is made of one belongs to who has asked. They may be
// used by many goroutines at once.
type Descriptions struct {
	mu     sync.Mutex // protects all below: whoever asks for a description looks here first
	size   int        // of all bodies
	bodies map[describedKey][]byte
}

// A description is true as long as its provider offers what it did.
type describedKey struct {
	name string
	by   Edition
}

// Get returns what a provider said of a function, if it offers now what it did then.
func (s *Descriptions) Get(name string, by Edition) (body []byte, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, ok = s.bodies[describedKey{name, by}]
	return body, ok
}

// Keep notes what a provider said. Where too many are kept all are forgotten: to ask again costs little.
func (s *Descriptions) Keep(name string, by Edition, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if by == (Edition{}) { // it is gone
		return
	}
	if len(s.bodies) >= keptMost || s.size+len(body) > keptRoom {
		s.bodies, s.size = nil, 0
	}
	if s.bodies == nil {
		s.bodies = make(map[describedKey][]byte)
	}
	s.size += len(body) - len(s.bodies[describedKey{name, by}])
	s.bodies[describedKey{name, by}] = body
}
