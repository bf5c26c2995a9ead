package link

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"broach/internal/buffer"
	"broach/internal/handshake"
	"broach/internal/seal"
	"broach/internal/transfer"
	"broach/internal/udp"
	"broach/internal/wire"
)

// Carrier is what all links of a node share. Who makes one sets what is exported, but for Table, Timers,
// Unsent and Resent, and calls Init.
type Carrier struct {
	Transport udp.Transport
	Process   *handshake.Process
	Cluster   uint64        // its number, PROTOCOL.md 1.1
	Table     atomic.Uint32 // version of our service table

	Gathers    bool          // the transport takes datagrams with a tail
	MaxPacket  int           // bytes of a datagram, without the tag of a sealed one
	MaxMessage int           // bytes of arguments or results
	Room       int           // bytes of fragments that each peer may have under way to us; 0: as many as it likes
	Peers      int           // that there may be
	Silence    time.Duration // how long a peer may be silent while a call waits, [CALL-11]

	Nonce   func() uint32                                      // draws what a peer cannot guess; never 0
	Resized func(now time.Time, peer netip.AddrPort, size int) // the packet size of a path is now another
	Timers  Timers
	Unsent  atomic.Uint64 // replies that nobody took, or that found no room
	Resent  atomic.Uint64 // requests sent more than once, those of links that have ended among them

	Ring atomic.Pointer[seal.Ring] // nil: there are no keys, nor will there be
	// Shared is X25519 of our private key and another's public one. The error is that of one that is none.
	Shared func(wire.PublicKey) (secret [seal.KeySize]byte, err error)

	memory   *buffer.Budget // of reassembly, all links together
	moving   *buffer.Budget // of replies under way as transfers
	stored   *buffer.Budget // of replies that are kept
	pendings sync.Pool      // of *Call
}

// Init begins the clock, and makes the budgets of links whose largest message is set.
func (c *Carrier) Init(now time.Time) {
	largest := int64(c.MaxMessage + envelope)
	c.memory = &buffer.Budget{Size: reassemblyNode * largest, AtOnce: transfer.FirstRoom}
	c.moving = &buffer.Budget{Size: max(replyMoving*buffer.Size(largest), replyMovingLeast)}
	c.stored = &buffer.Budget{Size: replyStored}
	c.Timers.init(now)
	c.Table.Store(1)
}

// NewCall returns a call to wait on. They are kept for one node: a channel must not wander between nodes of which one
// lives in a test's bubble.
func (c *Carrier) NewCall() *Call {
	if p, ok := c.pendings.Get().(*Call); ok {
		return p
	}
	return &Call{Done: make(chan struct{}, 1), of: c}
}

// FreeCall gives a call up for reuse: nobody is left who could end it, and its outcome was received or abandoned.
func (c *Carrier) FreeCall(p *Call) {
	if p.whole != nil {
		buffer.Recycle(p.whole)
	}
	buffer.Poison(p.kept)
	p.Outcome, p.whole, p.Streams = Outcome{}, nil, nil
	if cap(p.kept) > buffer.MostKept {
		p.kept = nil
	}
	c.pendings.Put(p)
}

// Traffic counts what has passed between us and a peer process, on whatever links: both of a pair, and all that come
// after them.
type Traffic struct {
	Arrived  atomic.Uint64 // datagrams accepted
	BytesIn  atomic.Uint64 // in them
	BytesOut atomic.Uint64 // in datagrams sent
	Numbered atomic.Uint64 // datagrams that the peer has sent, by their numbers
}
