package link

import (
	"encoding/binary"
	"net/netip"
	"sync"

	"broach/internal/seal"
	"broach/internal/udp"
	"broach/internal/wire"
)

const (
	BatchMax   = 64       // datagrams handed to the transport at once
	burstMax   = 45       // fragments among them, so that small messages get their turn, PROTOCOL.md [FRAG-7]
	burstBytes = 64 << 10 // of these at most: a message of the kernel's
)

// outbox packs messages into datagrams, in order. The first wire.HeaderSize bytes of each are left for the header.
//
// The version of our service table is stamped into the header when a datagram is begun, not when it is sent: a hello
// must not go under the version of a table that came after it.
type outbox struct {
	ready [][]byte
	limit int32 // of the last datagram in ready
	held  int32 // bytes of memory that ready has; these two are small because a node has many links
}

// append adds one encoded message. A datagram is at most limit bytes; a message fits one by the caller's care. It
// reports whether a larger limit would have spared a datagram.
func (o *outbox) append(msg []byte, limit int, table uint32) (filled bool) {
	last := len(o.ready) - 1
	if last < 0 || len(o.ready[last])+len(msg) > min(int(o.limit), limit) {
		filled = last >= 0 && len(o.ready[last])+len(msg) > limit
		if last+1 == outboxMax || o.held >= outboxBytes {
			return filled
		}
		o.ready = append(o.ready, wire.AppendHeader(NewPacket()[:0], wire.Header{TableVersion: table}))
		o.limit, o.held = int32(limit), o.held+packetCap
		last++
	}
	o.limit = min(o.limit, int32(limit))
	o.held -= int32(cap(o.ready[last]))
	o.ready[last] = append(roomFor(o.ready[last], len(msg)), msg...)
	o.held += int32(cap(o.ready[last]))
	return filled
}

// moveTo moves the first datagrams to a batch, at most so many, and returns how many it has moved. They are the batch's
// from then on, which its flusher has to itself: it seals, sends and frees them without the link's mutex.
func (o *outbox) moveTo(b *batch, addr netip.AddrPort, most int) int {
	n := min(len(o.ready), most)
	for _, d := range o.ready[:n] {
		o.held -= int32(cap(d))
		b.out = append(b.out, udp.Datagram{Addr: addr, B: d})
	}
	o.ready = append(o.ready[:0], o.ready[n:]...)
	return n
}

// stampOf is the version of our table that a datagram was begun under.
func stampOf(datagram []byte) uint32 { return binary.BigEndian.Uint32(datagram[4:]) }

// packets recycles the bytes of datagrams. They are kept as array pointers, which an interface holds without
// allocation.
var packets = sync.Pool{New: func() any { return new([packetCap]byte) }}

// packetCap is enough for any datagram on an Ethernet; a larger one moves to a packet for the largest.
const packetCap = 1536

// jumbos recycles the bytes of the datagrams for which packetCap is not enough.
var jumbos = sync.Pool{New: func() any { return new([udp.MaxDatagram]byte) }}

// NewPacket returns a datagram with room for its header.
func NewPacket() []byte { return packets.Get().(*[packetCap]byte)[:wire.HeaderSize] }

// roomFor returns a packet with the bytes of b and room for n more; b is given up.
func roomFor(b []byte, n int) []byte {
	if len(b)+n <= cap(b) {
		return b
	}
	large := append(jumbos.Get().(*[udp.MaxDatagram]byte)[:0], b...)
	FreePacket(b)
	return large
}

// FreePacket takes a datagram back.
func FreePacket(b []byte) {
	switch cap(b) {
	case packetCap:
		packets.Put((*[packetCap]byte)(b[:packetCap]))
	case udp.MaxDatagram:
		jumbos.Put((*[udp.MaxDatagram]byte)(b[:udp.MaxDatagram]))
	}
}

// batch is what one flush hands to the transport.
type batch struct {
	out    []udp.Datagram
	head   int          // bytes before the messages of each
	sealer *seal.Sealer // nil: they are not sealed

	// Whose memory is lent to the batch, once for each datagram: the calls and the replies that it sends parts of.
	calls   []*Call
	replies []*byte
}

var batches = sync.Pool{New: func() any { return &batch{out: make([]udp.Datagram, 0, BatchMax)} }}

// keyID is what the headers say.
func (b *batch) keyID() byte {
	if b.sealer == nil {
		return 0
	}
	return b.sealer.KeyID()
}

// seal encrypts the datagrams. It holds no lock: it takes as long as all else that is done for them.
func (b *batch) seal() {
	if b.sealer == nil {
		return
	}
	for i := range b.out {
		b.out[i].B = b.sealer.Seal(b.out[i].B, b.head)
	}
}

// recycle frees the datagrams that were sent. The replies are given back later, with the mutex.
func (b *batch) recycle() {
	for i, c := range b.calls {
		c.sending.Done()
		b.calls[i] = nil
	}
	b.calls = b.calls[:0]
	for i := range b.out {
		FreePacket(b.out[i].B)
		b.out[i] = udp.Datagram{}
	}
	b.out, b.sealer = b.out[:0], nil
}
