// Package wire is the layout of everything two broach processes say to each other: PROTOCOL.md, sections 1 to 5, as
// pairs of functions that append and consume. It knows bytes and their bounds, not what a node does about them.
//
// A datagram is a header and messages, back to back; integers are big-endian:
//
//	 0        1        2        3        4                                 8
//	+--------+--------+--------+--------+--------+--------+--------+--------+
//	|  b7    |version | key id | form   |           table version           |
//	+--------+--------+--------+--------+--------+--------+--------+--------+
//	|                 token (of the link, chosen by its receiver)           |
//	+--------+--------+--------+--------+--------+--------+--------+--------+
//	|                                number                                 |
//	+--------+--------+--------+--------+--------+--------+--------+--------+
//	| kind   | length n        | n bytes of body         | kind   | ...
//	+--------+--------+--------+--------+--------+--------+--------+
//
// While its sender has heard nothing on the link, the header is a Confirm's, which is longer. Before there is a link,
// two datagrams without messages make it: an Open and an Offer.
//
// The bodies, with the size of each field in bytes; a * takes all the rest:
//
//	Request      slot 2, seq 4, remaining 4, service 1+n, metadata 2+n, arguments *; Send likewise
//	Reply        slot 2, seq 4, code 4, executed 1, results *, or causes 2+n, text *
//	Progress     slot 2, seq 4; Poll and Cancel likewise
//	Fragment     transfer 4, total 4, size 2, index 4, data *
//	FragmentAck  transfer 4, base 4, limit 4, newest 4, bitmap *
//	Stop         transfer 4, by receiver 1, code 4
//	Chunk        transfer 4, slot 2, seq 4, index 4, bits 1, from 8 with a bit, data *
//	Probe        id 4, zeros
//	ProbeAck     id 4, room 4, which may be left out
//	Join         nonce 8, count 1, addresses of 18
//	List         echo 8, index 2, count 2, entries * of address 18 and boot id 8
//	Announce     incarnation 4, seen 4, address, name 1+n, version 1+n, tags 2+n, has table 1, table *
//	Welcome      incarnation that it answers 4, then the same
//	Ack          seen 4, promise 2
//	Beat         seq 4, promise 2, incarnation 4, digest 8, echo 4, held 4
//	Ping, Pong   nonce 8
//	Help         address, boot id 8, incarnation 4; Vouch, Nack, Suspect and Offline likewise
//	Leave        nothing
//	Delta        base 4, version 4, table of the functions gone 2+n, table of those added *
//	Drain        answer 1
//
// An address is 04 and 4 bytes or 06 and 16 bytes of IP, then 2 bytes of port; one of 18 bytes is an IP of IPv6, to
// which IPv4 is mapped, and a port.
//
// Whoever takes a datagram apart does it in this order:
//
//	h, rest, err := wire.ConsumeHeader(datagram)
//	for err == nil && len(rest) > 0 {
//		var kind wire.Kind
//		var body []byte
//		if kind, body, rest, err = wire.ConsumeMessage(rest); err != nil {
//			break
//		}
//		switch kind {
//		case wire.KindRequest:
//			req, err = wire.ConsumeRequest(body)
//			...
//
// What was consumed for a call aliases the datagram and lasts as long as it does; what was consumed for the membership,
// and a table, is a copy. A bad input is one of this package's errors, never a panic, and costs no allocation.
// Appending is for our own values: one that its field cannot hold is a bug of the caller, and panics.
//
// Everything here is a function of its arguments, or a value: safe for concurrent use.
package wire

import (
	"encoding/binary"
	"errors"
	"math"
)

// Kind tells messages apart.
type Kind uint8

// The kinds of messages. From KindJoin on they are those of the membership, which ConsumeMembership takes.
const (
	KindRequest     Kind = 1
	KindReply       Kind = 2
	KindProgress    Kind = 3
	KindPoll        Kind = 4
	KindCancel      Kind = 5
	KindFragment    Kind = 6
	KindFragmentAck Kind = 7
	KindStop        Kind = 8
	KindProbe       Kind = 10
	KindProbeAck    Kind = 11
	KindSend        Kind = 12
	KindChunk       Kind = 13

	KindJoin     Kind = 32
	KindList     Kind = 33
	KindAnnounce Kind = 34
	KindWelcome  Kind = 35
	KindAck      Kind = 36
	KindBeat     Kind = 37
	KindPing     Kind = 38
	KindPong     Kind = 39
	KindHelp     Kind = 40
	KindVouch    Kind = 41
	KindNack     Kind = 42
	KindSuspect  Kind = 43
	KindOffline  Kind = 44
	KindLeave    Kind = 45
	KindDelta    Kind = 47
	KindDrain    Kind = 48
)

// IsOfCalls reports whether a kind is one of calls, transfers or packet sizes. 9 was one, and is none any more.
func (k Kind) IsOfCalls() bool { return k >= KindRequest && k <= KindChunk && k != 9 }

// The errors of the consumers. They are returned as they are, so that they can be compared and cost nothing.
var (
	// ErrShort says that the input ends before its fields do.
	ErrShort = errors.New("wire: cut off")
	// ErrMagic says that this is not a datagram of broach.
	ErrMagic = errors.New("wire: wrong magic byte")
	// ErrVersion says that the datagram is of another version of the protocol.
	ErrVersion = errors.New("wire: unknown version")
	// ErrKind says that ConsumeMembership was given a kind that it does not know.
	ErrKind = errors.New("wire: unknown kind of message")
	// ErrField says that a field has a value outside its bounds.
	ErrField = errors.New("wire: field out of bounds")
	// ErrLimit says that there are more elements or bytes than a limit of this package allows.
	ErrLimit = errors.New("wire: over the limit")
	// ErrOrder says that tags or functions do not rise.
	ErrOrder = errors.New("wire: out of order")
	// ErrHash says that a service table is not what its hash was taken of.
	ErrHash = errors.New("wire: wrong hash")
)

// FrameSize is the number of bytes before the body of a message: its kind and length.
const FrameSize = 3

// ConsumeMessage takes the first message off b, which is what follows the header or the message before. It takes
// unknown kinds like known ones: who does not know a kind goes on with rest. The body aliases b and cannot be appended
// to in place. The only error is ErrShort, also for an empty b.
func ConsumeMessage(b []byte) (kind Kind, body, rest []byte, err error) {
	if len(b) < FrameSize {
		return 0, nil, nil, ErrShort
	}
	end := FrameSize + int(binary.BigEndian.Uint16(b[1:]))
	if len(b) < end {
		return 0, nil, nil, ErrShort
	}
	return Kind(b[0]), b[FrameSize:end:end], b[end:], nil
}

// startFrame appends the kind of a message and room for its length, which endFrame fills in.
func startFrame(b []byte, kind Kind) []byte {
	return append(b, byte(kind), 0, 0)
}

// endFrame ends the message that was started when b had start bytes.
func endFrame(b []byte, start int) []byte {
	binary.BigEndian.PutUint16(b[start+1:], bodyLength(len(b)-start-FrameSize))
	return b
}

// appendFrame begins a message whose body will have n bytes.
func appendFrame(b []byte, kind Kind, n int) []byte {
	return binary.BigEndian.AppendUint16(append(b, byte(kind)), bodyLength(n))
}

// bodyLength is the length of a body as a frame has it.
func bodyLength(n int) uint16 {
	if n > math.MaxUint16 {
		panic("broach: internal error: message longer than its length field can say")
	}
	return uint16(n)
}

// fnv1a is FNV-1a of 64 bits. hash/fnv has it behind an interface, which would cost an allocation for each digest.
func fnv1a[T string | []byte](s T) uint64 {
	h := uint64(0xcbf29ce484222325)
	for i := range len(s) {
		h ^= uint64(s[i])
		h *= 0x100000001b3
	}
	return h
}
