package intruder

import (
	"hash/fnv"
	"net/netip"
)

// The kinds of messages.
const (
	KindRequest     = 1
	KindReply       = 2
	KindProgress    = 3
	KindPoll        = 4
	KindCancel      = 5
	KindFragment    = 6
	KindFragmentAck = 7
	KindStop        = 8
	KindProbe       = 10
	KindProbeAck    = 11
	KindSend        = 12
	KindChunk       = 13
	KindJoin        = 32
	KindList        = 33
	KindAnnounce    = 34
	KindWelcome     = 35
	KindAck         = 36
	KindBeat        = 37
	KindPing        = 38
	KindPong        = 39
	KindHelp        = 40
	KindVouch       = 41
	KindNack        = 42
	KindSuspect     = 43
	KindOffline     = 44
	KindLeave       = 45
	KindDelta       = 47
	KindDrain       = 48
)

// Message is one of those that a datagram carries.
type Message struct {
	Kind byte
	Body []byte
}

// AppendMessages appends messages, back to back.
func AppendMessages(b []byte, messages ...Message) []byte {
	for _, m := range messages {
		b = append(be.AppendUint16(append(b, m.Kind), uint16(len(m.Body))), m.Body...)
	}
	return b
}

// ParseMessages takes messages apart, up to the first that is cut off.
func ParseMessages(b []byte) (list []Message) {
	for len(b) >= 3 {
		end := 3 + int(be.Uint16(b[1:]))
		if len(b) < end {
			break
		}
		list = append(list, Message{b[0], b[3:end]})
		b = b[end:]
	}
	return list
}

// Entry is a member, as a List has it.
type Entry struct {
	Addr netip.AddrPort
	Boot uint64
}

// Target is what one member says another of.
type Target struct {
	Entry
	Inc uint32
}

// About makes a message of a kind that has a target: Help, Vouch, Nack, Suspect, Offline.
func About(kind byte, t Target) Message {
	return Message{kind, be.AppendUint32(be.AppendUint64(appendAddr(nil, t.Addr), t.Boot), t.Inc)}
}

// ParseTarget takes the body of such a message apart.
func ParseTarget(b []byte) (t Target, ok bool) {
	size := 4
	if len(b) > 0 && b[0] == 6 {
		size = 16
	}
	if len(b) < 1+size+14 {
		return Target{}, false
	}
	ip, _ := netip.AddrFromSlice(b[1 : 1+size])
	b, t.Addr = b[1+size+2:], netip.AddrPortFrom(ip, be.Uint16(b[1+size:]))
	t.Boot, t.Inc = be.Uint64(b), be.Uint32(b[8:])
	return t, true
}

// Ping asks for a Pong with its nonce.
func Ping(nonce uint64) Message { return Message{KindPing, be.AppendUint64(nil, nonce)} }

// Pong answers a Ping.
func Pong(nonce uint64) Message { return Message{KindPong, be.AppendUint64(nil, nonce)} }

// Ack says that a hello was taken.
func Ack(seen uint32, promise uint16) Message {
	return Message{KindAck, be.AppendUint16(be.AppendUint32(nil, seen), promise)}
}

// Beat is a heartbeat. What it echoes came just now.
func Beat(seq uint32, promise uint16, inc uint32, digest uint64, echo uint32) Message {
	b := be.AppendUint32(be.AppendUint16(be.AppendUint32(nil, seq), promise), inc)
	const held = 0
	return Message{KindBeat, be.AppendUint32(be.AppendUint32(be.AppendUint64(b, digest), echo), held)}
}

// Join asks a seed for the members at the addresses, or for all.
func Join(nonce uint64, addrs ...netip.AddrPort) Message {
	b := append(be.AppendUint64(nil, nonce), byte(len(addrs)))
	for _, a := range addrs {
		b = appendAddr18(b, a)
	}
	return Message{KindJoin, b}
}

// List is one datagram of count of a list of members.
func List(echo uint64, index, count uint16, members ...Entry) Message {
	b := be.AppendUint16(be.AppendUint16(be.AppendUint64(nil, echo), index), count)
	for _, m := range members {
		b = be.AppendUint64(appendAddr18(b, m.Addr), m.Boot)
	}
	return Message{KindList, b}
}

// ParseList takes the body of a List apart.
func ParseList(b []byte) (echo uint64, members []Entry) {
	if len(b) < 12 {
		return 0, nil
	}
	echo = be.Uint64(b)
	for b = b[12:]; len(b) >= 26; b = b[26:] {
		members = append(members, Entry{addr18(b), be.Uint64(b[18:])})
	}
	return echo, members
}

// Hello introduces a process, with its name and its functions.
type Hello struct {
	Inc, Seen uint32
	Addr      netip.AddrPort
	Name      string
	Table     []byte // nil: to be pulled
}

// Announce is a hello of one's own accord.
func Announce(h Hello) Message { return Message{KindAnnounce, h.append(nil)} }

// Welcome is a hello that answers an Announce with an incarnation.
func Welcome(answers uint32, h Hello) Message {
	return Message{KindWelcome, h.append(be.AppendUint32(nil, answers))}
}

func (h Hello) append(b []byte) []byte {
	b = appendAddr(be.AppendUint32(be.AppendUint32(b, h.Inc), h.Seen), h.Addr)
	b = append(appendString(b, h.Name), 0, 0, 0) // no version, no tags
	if h.Table == nil {
		return append(b, 0)
	}
	return append(append(b, 1), h.Table...)
}

// Table is a service table of functions without parameters or results; the names must rise.
func Table(names ...string) []byte {
	b := be.AppendUint16(nil, uint16(len(names)))
	for _, name := range names {
		b = appendString(append(b, 0), name)
		b = append(b, 0, 2, '(', ')', 0)
	}
	sum := fnv.New64a()
	sum.Write(b)
	return be.AppendUint64(b, sum.Sum64())
}

// Request calls a function. Args are a msgpack array.
func Request(slot uint16, seq, remaining uint32, service string, args []byte) Message {
	return call(KindRequest, slot, seq, remaining, service, args)
}

// Send is a Request that wants no result.
func Send(slot uint16, seq, remaining uint32, service string, args []byte) Message {
	return call(KindSend, slot, seq, remaining, service, args)
}

func call(kind byte, slot uint16, seq, remaining uint32, service string, args []byte) Message {
	b := appendString(be.AppendUint32(appendSlot(nil, slot, seq), remaining), service)
	return Message{kind, append(append(b, 0, 0), args...)} // no metadata
}

// Reply answers a call; body are results, or an error where there is a code.
func Reply(slot uint16, seq, code uint32, executed byte, body []byte) Message {
	b := append(be.AppendUint32(appendSlot(nil, slot, seq), code), executed)
	return Message{KindReply, append(b, body...)}
}

// OfSlot makes a Progress, Poll or Cancel.
func OfSlot(kind byte, slot uint16, seq uint32) Message {
	return Message{kind, appendSlot(nil, slot, seq)}
}

// Fragment is a part of a large message.
func Fragment(transfer, total uint32, size uint16, index uint32, data []byte) Message {
	b := be.AppendUint16(be.AppendUint32(be.AppendUint32(nil, transfer), total), size)
	return Message{KindFragment, append(be.AppendUint32(b, index), data...)}
}

// fragmentSize is that of the parts that Fragments makes: with them a datagram has at most 1,200 bytes.
const fragmentSize = 1000

// Fragments are a message in parts, of which each goes in a datagram of its own.
func Fragments(transfer uint32, m Message) (parts []Message) {
	all := append([]byte{m.Kind}, m.Body...)
	for k := 0; k*fragmentSize < len(all); k++ {
		data := all[k*fragmentSize : min(len(all), (k+1)*fragmentSize)]
		parts = append(parts, Fragment(transfer, uint32(len(all)), fragmentSize, uint32(k), data))
	}
	return parts
}

// FragmentAck acknowledges fragments below base, and asks for those below limit.
func FragmentAck(transfer, base, limit uint32) Message {
	return Message{KindFragmentAck, be.AppendUint32(be.AppendUint32(be.AppendUint32(be.AppendUint32(nil, transfer),
		base), limit), 0)}
}

// Streaming is a Request whose input comes in a transfer, and whose results are welcome up to so many KiB.
func Streaming(slot uint16, seq, transfer, welcome uint32, service string) Message {
	b := appendString(be.AppendUint32(appendSlot(nil, slot, seq), 0), service)
	b = be.AppendUint16(b, 21)
	b = be.AppendUint32(be.AppendUint16(appendString(b, "\x00in"), 4), transfer)
	b = be.AppendUint32(be.AppendUint16(appendString(b, "\x00out"), 4), welcome)
	return Message{KindRequest, append(b, 0x90)}
}

// The bits of a Chunk.
const (
	ChunkFromCaller = 1
	ChunkLast       = 2
	ChunkGoesOn     = 4
)

// Chunk is a part of a stream.
func Chunk(transfer uint32, slot uint16, seq, index uint32, bits byte, data []byte) Message {
	b := be.AppendUint32(appendSlot(be.AppendUint32(nil, transfer), slot, seq), index)
	return Message{KindChunk, append(append(b, bits), data...)}
}

// Of makes a message of any kind and body.
func Of(kind byte, body ...byte) Message { return Message{kind, body} }

func appendSlot(b []byte, slot uint16, seq uint32) []byte {
	return be.AppendUint32(be.AppendUint16(b, slot), seq)
}

func appendString(b []byte, s string) []byte { return append(append(b, byte(len(s))), s...) }

// appendAddr appends an address as hellos and targets have it.
func appendAddr(b []byte, a netip.AddrPort) []byte {
	b = append(b, 4)
	if a.Addr().Is6() {
		b[len(b)-1] = 6
	}
	return be.AppendUint16(append(b, a.Addr().AsSlice()...), a.Port())
}
