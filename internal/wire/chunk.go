package wire

import (
	"bytes"
	"encoding/binary"
)

// The fixed part of the body of a Chunk, and what bit 4 adds, in bytes.
const (
	ChunkHead = 15
	ChunkMore = 8
)

// The bits of a Chunk.
const (
	chunkFromCaller = 1
	chunkLast       = 2
	chunkGoesOn     = 4
	chunkBits       = chunkFromCaller | chunkLast | chunkGoesOn
)

// Chunk is a part of a stream. Consumed, its slice aliases the input.
type Chunk struct {
	Transfer   uint32 // numbered with those of whole messages
	Slot       uint16 // of the call
	Seq        uint32
	Index      uint32 // from 0
	FromCaller bool   // input of the call; false: results
	Last       bool   // nothing follows
	GoesOn     bool   // the transfer goes on with one that was stopped
	From       uint64 // where in the stream it does, in bytes; 0 unless GoesOn
	Data       []byte
}

// Append appends the message.
func (m Chunk) Append(b []byte) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint32(startFrame(b, KindChunk), m.Transfer)
	b = appendSlotSeq(b, m.Slot, m.Seq)
	b = binary.BigEndian.AppendUint32(b, m.Index)
	b = append(b, m.bits())
	if m.GoesOn {
		b = binary.BigEndian.AppendUint64(b, m.From)
	}
	return endFrame(append(b, m.Data...), start)
}

// Size is how many bytes Append appends.
func (m Chunk) Size() int {
	n := FrameSize + ChunkHead + len(m.Data)
	if m.GoesOn {
		n += ChunkMore
	}
	return n
}

func (m Chunk) bits() (bits byte) {
	if m.FromCaller {
		bits |= chunkFromCaller
	}
	if m.Last {
		bits |= chunkLast
	}
	if m.GoesOn {
		bits |= chunkGoesOn
	}
	return bits
}

// ConsumeChunk decodes the body of a Chunk. The errors are ErrShort, and ErrField for bits that there are not, and for
// a transfer of number 0.
func ConsumeChunk(body []byte) (Chunk, error) {
	if len(body) < ChunkHead {
		return Chunk{}, ErrShort
	}
	bits := body[ChunkHead-1]
	m := Chunk{
		Transfer:   binary.BigEndian.Uint32(body),
		Slot:       binary.BigEndian.Uint16(body[4:]),
		Seq:        binary.BigEndian.Uint32(body[6:]),
		Index:      binary.BigEndian.Uint32(body[10:]),
		FromCaller: bits&chunkFromCaller != 0,
		Last:       bits&chunkLast != 0,
		GoesOn:     bits&chunkGoesOn != 0,
		Data:       body[ChunkHead:],
	}
	if bits > chunkBits || m.Transfer == 0 {
		return Chunk{}, ErrField
	}
	if m.GoesOn {
		if len(m.Data) < ChunkMore {
			return Chunk{}, ErrShort
		}
		m.From, m.Data = binary.BigEndian.Uint64(m.Data), m.Data[ChunkMore:]
	}
	return m, nil
}

// Streams say in the metadata of a Request what of its call streams.
type Streams struct {
	HasIn, HasOut bool
	In            uint32 // the transfer of the input, not 0
	Out           uint32 // KiB of the results that are welcome at first
}

// The keys of the metadata that say so. They are before all that users may have.
var (
	keyIn  = []byte("\x00in")
	keyOut = []byte("\x00out")
)

// AppendPairs appends them as the first of the metadata of a Request.
func (s Streams) AppendPairs(b []byte) []byte {
	if s.HasIn {
		b = AppendPair(b, string(keyIn), binary.BigEndian.AppendUint32(nil, s.In))
	}
	if s.HasOut {
		b = AppendPair(b, string(keyOut), binary.BigEndian.AppendUint32(nil, s.Out))
	}
	return b
}

// SetStreams writes them anew in an encoded Request with its frame, which has the same of them.
func SetStreams(frame []byte, s Streams) {
	name := FrameSize + requestHead - 1
	meta := name + 1 + int(frame[name]) + 2
	s.AppendPairs(frame[:meta])
}

// StreamsIn finds them in the metadata of a Request. The error is ErrField.
func StreamsIn(meta []byte) (s Streams, err error) {
	if len(meta) < 2 || meta[1] != 0 { // as of every call that does not stream: nothing is the protocol's own
		return s, nil
	}
	for key, value := range EachPair(meta) {
		isIn, isOut := bytes.Equal(key, keyIn), bytes.Equal(key, keyOut)
		switch {
		case (isIn || isOut) && len(value) != 4:
			return s, ErrField
		case isIn:
			s.HasIn, s.In = true, binary.BigEndian.Uint32(value)
		case isOut:
			s.HasOut, s.Out = true, binary.BigEndian.Uint32(value)
		}
	}
	if s.HasIn && s.In == 0 {
		return s, ErrField
	}
	return s, nil
}
