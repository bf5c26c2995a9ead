package wire

import (
	"bytes"
	"encoding/binary"
)

// Delta is a change of the sender's service table. The tables in it are checked by who uses them, with ConsumeTable.
type Delta struct {
	Base    uint32 // the version that it changes
	Version uint32 // and what comes of it
	Gone    []byte // service table of the functions taken away, without signatures; up to 65,535 bytes
	Added   []byte // service table of those that are new or changed
}

// DeltaOverhead is the size of a Delta apart from its tables, in bytes.
const DeltaOverhead = FrameSize + 4 + 4 + 2

// Kind is KindDelta.
func (m Delta) Kind() Kind { return KindDelta }

// Append appends the message.
func (m Delta) Append(b []byte) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint32(startFrame(b, KindDelta), m.Base)
	b = binary.BigEndian.AppendUint32(b, m.Version)
	b = binary.BigEndian.AppendUint16(b, uint16(len(m.Gone)))
	return endFrame(append(append(b, m.Gone...), m.Added...), start)
}

// ConsumeDelta decodes the body of a Delta. The only error is ErrShort.
func ConsumeDelta(body []byte) (Delta, error) {
	f := fields{b: body}
	m := Delta{Base: f.uint32(), Version: f.uint32()}
	gone := f.bytes(int(f.uint16()))
	if f.err != nil {
		return Delta{}, f.err
	}
	m.Gone, m.Added = bytes.Clone(gone), bytes.Clone(f.b)
	return m, nil
}
