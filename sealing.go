package broach

import (
	"net/netip"
	"sync/atomic"
	"time"

	"broach/internal/seal"
	"broach/internal/wire"
)

// sealing is what a node needs to seal its datagrams, PROTOCOL.md 1.4. Without keys it does nothing.
type sealing struct {
	ring    atomic.Pointer[seal.Ring] // nil: there are no keys, nor will there be
	outside atomic.Uint64             // number of the last datagram that belonged to no link, [SEAL-3]
}

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
	case n.ring.Load() == nil:
		return Errorf(InvalidArgument, "set keys: the node was started without any")
	}
	n.ring.Store(ring)
	return nil
}

// overhead is by how much datagrams are longer on the wire than PROTOCOL.md counts them.
func (s *sealing) overhead() int {
	if s.ring.Load() == nil {
		return 0
	}
	return seal.Overhead
}

// sealOutside seals a datagram that belongs to no link, if datagrams are sealed.
func (c *carrier) sealOutside(datagram []byte) []byte {
	ring := c.ring.Load()
	if ring == nil {
		c.header(datagram, c.table.Load(), 0, 0, 0)
		return datagram
	}
	s := ring.Sealer(c.boot, 0)
	c.header(datagram, c.table.Load(), s.KeyID(), 0, c.outside.Add(1))
	return s.Seal(datagram, wire.HeaderSize)
}

// linkSeals are the keys of a link. Links of nodes without keys do without them: there are many.
type linkSeals struct {
	// the reader's
	openedWith *seal.Ring
	opener     *seal.Opener // of openedWith

	// under the link's mutex
	sealedWith *seal.Ring
	sealer     *seal.Sealer // of sealedWith
}

// sealer is what seals the link's datagrams, or nil. mu is held.
func (l *link) sealer() *seal.Sealer {
	s := l.sealed
	if s == nil {
		return nil
	}
	if ring := l.ring.Load(); ring != s.sealedWith {
		s.sealedWith, s.sealer = ring, ring.Sealer(l.boot, l.id.boot)
	}
	return s.sealer
}

// open decrypts a datagram, and reports whether it may be looked at, [SEAL-1].
func (r *reader) open(d datagram, h wire.Header, rest []byte) ([]byte, bool) {
	ring := r.ring.Load()
	if ring == nil || h.KeyID == 0 {
		return rest, ring == nil && h.KeyID == 0
	}
	opened, err := r.opener(ring, h).Open(d.b, wire.HeaderSize, h.KeyID)
	return opened, err == nil
}

// opener is what opens a datagram: the link's, which is kept, or one for this datagram only.
func (r *reader) opener(ring *seal.Ring, h wire.Header) *seal.Opener {
	l := r.links.get(h.Sender)
	if l == nil || h.Receiver != r.boot {
		return ring.Opener(h.Sender, h.Receiver)
	}
	s := l.sealed
	if s.openedWith != ring {
		s.openedWith, s.opener = ring, ring.Opener(h.Sender, h.Receiver)
	}
	return s.opener
}

// strangers remembers who was told of in the present minute. It is the reader's.
type strangers struct {
	told  map[netip.AddrPort]bool
	until time.Time // the end of the minute
}

// isNew reports whether an address is to be told of. When too many were, the next are only counted: a flood must not cost more than it is worth.
func (s *strangers) isNew(now time.Time, addr netip.AddrPort) bool {
	if !now.Before(s.until) {
		s.told, s.until = make(map[netip.AddrPort]bool), now.Add(strangersEvery)
	}
	if s.told[addr] || len(s.told) == strangersMax {
		return false
	}
	s.told[addr] = true
	return true
}

// unopened counts a datagram that no key opens, and tells the operator.
func (r *reader) unopened(now time.Time, d datagram) {
	r.stats.unopened.Add(1)
	if r.strangers.isNew(now, d.addr) {
		r.log.Warn("broach: datagrams that no key of this node opens: another key, or none", "from", d.addr)
	}
}
