package wire

import (
	"encoding/binary"
	"net/netip"
)

// Target is the process that one message or another is about.
type Target struct {
	Addr netip.AddrPort
	Boot uint64 // not 0
	Inc  uint32 // its incarnation, as far as the sender knows
}

// Help asks: can you reach it?
type Help struct{ Target }

// Vouch answers Help: yes.
type Vouch struct{ Target }

// Nack answers Help: no.
type Nack struct{ Target }

// Suspect says that its sender suspects the target to be gone.
type Suspect struct{ Target }

// Offline says that its sender holds the target to be gone.
type Offline struct{ Target }

// Kind is KindHelp.
func (m Help) Kind() Kind { return KindHelp }

// Kind is KindVouch.
func (m Vouch) Kind() Kind { return KindVouch }

// Kind is KindNack.
func (m Nack) Kind() Kind { return KindNack }

// Kind is KindSuspect.
func (m Suspect) Kind() Kind { return KindSuspect }

// Kind is KindOffline.
func (m Offline) Kind() Kind { return KindOffline }

// Append appends the message.
func (m Help) Append(b []byte) []byte { return m.append(b, KindHelp) }

// Append appends the message.
func (m Vouch) Append(b []byte) []byte { return m.append(b, KindVouch) }

// Append appends the message.
func (m Nack) Append(b []byte) []byte { return m.append(b, KindNack) }

// Append appends the message.
func (m Suspect) Append(b []byte) []byte { return m.append(b, KindSuspect) }

// Append appends the message.
func (m Offline) Append(b []byte) []byte { return m.append(b, KindOffline) }

// ConsumeHelp decodes the body of a Help. The errors are ErrShort, and ErrField for the address or boot id.
func ConsumeHelp(body []byte) (Help, error) {
	t, err := consumeTarget(body)
	return Help{t}, err
}

// ConsumeVouch decodes the body of a Vouch. The errors are ErrShort, and ErrField for the address or boot id.
func ConsumeVouch(body []byte) (Vouch, error) {
	t, err := consumeTarget(body)
	return Vouch{t}, err
}

// ConsumeNack decodes the body of a Nack. The errors are ErrShort, and ErrField for the address or boot id.
func ConsumeNack(body []byte) (Nack, error) {
	t, err := consumeTarget(body)
	return Nack{t}, err
}

// ConsumeSuspect decodes the body of a Suspect. The errors are ErrShort, and ErrField for the address or boot id.
func ConsumeSuspect(body []byte) (Suspect, error) {
	t, err := consumeTarget(body)
	return Suspect{t}, err
}

// ConsumeOffline decodes the body of an Offline. The errors are ErrShort, and ErrField for the address or boot id.
func ConsumeOffline(body []byte) (Offline, error) {
	t, err := consumeTarget(body)
	return Offline{t}, err
}

// append appends a message whose body is the target.
func (t Target) append(b []byte, kind Kind) []byte {
	start := len(b)
	b = appendAddr(startFrame(b, kind), t.Addr)
	b = binary.BigEndian.AppendUint64(b, t.Boot)
	return endFrame(binary.BigEndian.AppendUint32(b, t.Inc), start)
}

// consumeTarget decodes a body that is a target.
func consumeTarget(body []byte) (Target, error) {
	f := fields{b: body}
	t := Target{Addr: f.addr(), Boot: f.bootID(), Inc: f.uint32()}
	return t, f.err
}
