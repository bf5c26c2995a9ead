package wire

import "encoding/binary"

// probeSize is the number of bytes in the body of a Probe without padding, and of a ProbeAck.
const probeSize = 4

// Probe asks whether a datagram of this size arrives.
type Probe struct {
	ID      uint32
	Padding int // zeros behind the fields; not looked at when consumed, but counted
}

// Append appends the message.
func (m Probe) Append(b []byte) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint32(startFrame(b, KindProbe), m.ID)
	return endFrame(append(b, make([]byte, m.Padding)...), start)
}

// ConsumeProbe decodes the body of a Probe. The only error is ErrShort.
func ConsumeProbe(body []byte) (Probe, error) {
	if len(body) < probeSize {
		return Probe{}, ErrShort
	}
	return Probe{ID: binary.BigEndian.Uint32(body), Padding: len(body) - probeSize}, nil
}

// ProbeFor returns the Probe that, alone in its datagram, makes it as large as datagram says, in bytes.
func ProbeFor(id uint32, datagram int) Probe {
	return Probe{ID: id, Padding: datagram - HeaderSize - FrameSize - probeSize}
}

// ProbeAck says that a Probe has arrived.
type ProbeAck struct {
	ID   uint32
	Room uint32 // bytes of fragments that may be under way to who says it; 0: not said
}

// Append appends the message.
func (m ProbeAck) Append(b []byte) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint32(startFrame(b, KindProbeAck), m.ID)
	if m.Room > 0 {
		b = binary.BigEndian.AppendUint32(b, m.Room)
	}
	return endFrame(b, start)
}

// ConsumeProbeAck decodes the body of a ProbeAck. The only error is ErrShort.
func ConsumeProbeAck(body []byte) (ProbeAck, error) {
	if len(body) < probeSize {
		return ProbeAck{}, ErrShort
	}
	m := ProbeAck{ID: binary.BigEndian.Uint32(body)}
	if len(body) >= probeSize+4 {
		m.Room = binary.BigEndian.Uint32(body[probeSize:])
	}
	return m, nil
}
