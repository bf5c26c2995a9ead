// Package transfer moves messages that do not fit a datagram in fragments, and streams in chunks, PROTOCOL.md section
// 3. One Out and one In belong to each link: what it sends and what it receives.
//
// Nothing here has a clock, a lock, a goroutine or a socket. The link steps both under its mutex, says what time it is,
// and asks when to step them again; Out says which fragment is next, and In which acknowledgement. So all of it is
// tested in virtual time, over a network of a few lines.
//
// The sender owns the body of a message only by loan: whoever starts a transfer gets it back, by its tag, when the
// receiver has all of it or one side has given up. The receiver copies what it gets. A peer can make it keep no more
// than two budgets allow, the link's and that of all links together, and never more than twice what has arrived,
// [FRAG-2].
//
// How fast fragments go is the concern of three files that know nothing of messages: what is under way and what of it
// is lost (flight.go), how much may be under way (window.go, which watches losses and how the round trip grows), and
// how evenly it leaves (pacer.go).
//
// In reading order:
//
//	transfer.go  how bytes lie in fragments, and the limits
//	send.go      Out: which fragment is next; part.go: what it is
//	open.go      streams, which have no total: their chunks are cut as they go
//	flight.go    what is under way
//	window.go    how much may be
//	pacer.go     when the next may go
//	receive.go   In: which transfer a fragment belongs to, and what is answered
//	body.go      the bytes that have arrived
//	stream.go    streams that come
//	endings.go   which transfers are over, so that a late fragment begins none anew
package transfer

import (
	"time"

	"broach/internal/wire"
)

const (
	// Overhead is what a datagram holds besides the data of its one fragment:
	// header, message frame, fields of Fragment.
	Overhead = wire.HeaderSize + wire.FrameSize + 14

	// minFragment bounds the work that one byte can cause: 64 MiB are at most 262,144 fragments.
	minFragment = 256

	// maxFragment is what the 16 bits of a message's length leave beside the fields of Fragment.
	maxFragment = 1<<16 - 1 - 14

	// FirstRoom is set aside for a message at its first fragment, in bytes, so that growing need not copy those of up
	// to this size: a tenth of the time of an echo of 1 MiB. 64 transfers take no more than the budget of a link.
	FirstRoom = 2 << 20

	// fragmentSpan is how far a transfer gets ahead of its first missing fragment: the bitmap of
	// an acknowledgement reaches no further.
	fragmentSpan = 1024

	// maxTransfers bounds the transfers of one direction of a link that are under way at once.
	maxTransfers = 64

	// maxIDSpread is how far the ids of the transfers under way lie apart at most, so that a receiver who remembers
	// idsRemembered of them never takes an unfinished one for one that ended. It is wide, because thousands of
	// small messages pass one of 64 MiB; it costs 2 KiB on each link.
	maxIDSpread   = 4096
	idsRemembered = 2 * maxIDSpread

	// Idle is [FRAG-9].
	Idle = 10 * time.Second
)

// FragmentSize returns the bytes of data in each fragment but the last, for a link whose datagrams hold packet bytes.
func FragmentSize(packet int) int {
	return min(packet-Overhead, maxFragment)
}

// A cut says how the bytes of a transfer lie in its fragments.
type cut struct {
	total uint32 // bytes, at least 1
	size  uint32 // bytes of each fragment but the last
	count uint32 // fragments
}

func cutInto(total, size uint32) cut {
	return cut{total, size, uint32((uint64(total) + uint64(size) - 1) / uint64(size))}
}

// bounds returns the part of the transfer that a fragment holds: empty when there is no such fragment.
func (c cut) bounds(index uint32) (from, to int64) {
	from = min(int64(index)*int64(c.size), int64(c.total))
	return from, min(from+int64(c.size), int64(c.total))
}

// length is how many bytes a fragment has.
func (c cut) length(index uint32) int {
	from, to := c.bounds(index)
	return int(to - from)
}

// A fragmentSet holds indexes of fragments, all of them within fragmentSpan of each other.
type fragmentSet [fragmentSpan / 64]uint64

func (s *fragmentSet) add(index uint32)      { s[index/64%uint32(len(s))] |= 1 << (index % 64) }
func (s *fragmentSet) remove(index uint32)   { s[index/64%uint32(len(s))] &^= 1 << (index % 64) }
func (s *fragmentSet) has(index uint32) bool { return s.from(index)&1 != 0 }

// from returns the 64 members from index on, the lowest bit first.
func (s *fragmentSet) from(index uint32) uint64 {
	word, shift := index/64, index%64
	n := uint32(len(s))
	return s[word%n]>>shift | s[(word+1)%n]<<(64-shift)
}
