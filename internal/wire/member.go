package wire

import "encoding/binary"

// Message is a message of the membership, which may be kept: it aliases no input.
type Message interface {
	// Kind tells what message it is.
	Kind() Kind
	// Append appends the message.
	Append(b []byte) []byte
}

// ConsumeMembership decodes the body of a message of the membership, which it returns by value: a Join, a List and so
// on. The errors are ErrKind for all other kinds, and those of the message's own consumer.
func ConsumeMembership(kind Kind, body []byte) (Message, error) {
	switch kind {
	case KindJoin:
		return message(ConsumeJoin(body))
	case KindList:
		return message(ConsumeList(body))
	case KindAnnounce:
		return message(ConsumeAnnounce(body))
	case KindWelcome:
		return message(ConsumeWelcome(body))
	case KindAck:
		return message(ConsumeAck(body))
	case KindBeat:
		return message(ConsumeBeat(body))
	case KindPing:
		return message(ConsumePing(body))
	case KindPong:
		return message(ConsumePong(body))
	case KindHelp:
		return message(ConsumeHelp(body))
	case KindVouch:
		return message(ConsumeVouch(body))
	case KindNack:
		return message(ConsumeNack(body))
	case KindSuspect:
		return message(ConsumeSuspect(body))
	case KindOffline:
		return message(ConsumeOffline(body))
	case KindLeave:
		return message(ConsumeLeave(body))
	case KindDelta:
		return message(ConsumeDelta(body))
	case KindDrain:
		return message(ConsumeDrain(body))
	}
	return nil, ErrKind
}

// message makes a Message of what a consumer returned: nil when there is an error.
func message[M Message](m M, err error) (Message, error) {
	if err != nil {
		return nil, err
	}
	return m, nil
}

// Ack says that a hello has been taken.
type Ack struct {
	Seen    uint32 // version of the receiver's table that the sender holds and believes; 0: none
	Promise uint16 // a Beat comes within so many milliseconds
}

// Kind is KindAck.
func (m Ack) Kind() Kind { return KindAck }

// Append appends the message.
func (m Ack) Append(b []byte) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint32(startFrame(b, KindAck), m.Seen)
	return endFrame(binary.BigEndian.AppendUint16(b, m.Promise), start)
}

// ConsumeAck decodes the body of an Ack. The only error is ErrShort.
func ConsumeAck(body []byte) (Ack, error) {
	f := fields{b: body}
	m := Ack{Seen: f.uint32(), Promise: f.uint16()}
	return m, f.err
}

// Beat is a heartbeat.
type Beat struct {
	Seq     uint32
	Promise uint16 // the next one comes within so many milliseconds
	Inc     uint32 // incarnation of the sender
	Digest  uint64 // XOR of the Digest of all alive peers and the sender
	Echo    uint32 // the highest seq heard from the receiver; 0: none
	Held    uint32 // microseconds since that came
}

// Kind is KindBeat.
func (m Beat) Kind() Kind { return KindBeat }

// Append appends the message.
func (m Beat) Append(b []byte) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint32(startFrame(b, KindBeat), m.Seq)
	b = binary.BigEndian.AppendUint16(b, m.Promise)
	b = binary.BigEndian.AppendUint32(b, m.Inc)
	b = binary.BigEndian.AppendUint64(b, m.Digest)
	b = binary.BigEndian.AppendUint32(b, m.Echo)
	return endFrame(binary.BigEndian.AppendUint32(b, m.Held), start)
}

// ConsumeBeat decodes the body of a Beat. The errors are ErrShort and ErrField.
func ConsumeBeat(body []byte) (Beat, error) {
	f := fields{b: body}
	m := Beat{Seq: f.uint32(), Promise: f.uint16(), Inc: f.incarnation(), Digest: f.uint64(), Echo: f.uint32(),
		Held: f.uint32()}
	return m, f.err
}

// Ping asks for a Pong.
type Ping struct{ Nonce uint64 }

// Pong echoes the nonce of a Ping.
type Pong struct{ Nonce uint64 }

// Kind is KindPing.
func (m Ping) Kind() Kind { return KindPing }

// Kind is KindPong.
func (m Pong) Kind() Kind { return KindPong }

// Append appends the message.
func (m Ping) Append(b []byte) []byte {
	start := len(b)
	return endFrame(binary.BigEndian.AppendUint64(startFrame(b, KindPing), m.Nonce), start)
}

// Append appends the message.
func (m Pong) Append(b []byte) []byte {
	start := len(b)
	return endFrame(binary.BigEndian.AppendUint64(startFrame(b, KindPong), m.Nonce), start)
}

// ConsumePing decodes the body of a Ping. The only error is ErrShort.
func ConsumePing(body []byte) (Ping, error) {
	f := fields{b: body}
	m := Ping{Nonce: f.uint64()}
	return m, f.err
}

// ConsumePong decodes the body of a Pong. The only error is ErrShort.
func ConsumePong(body []byte) (Pong, error) {
	m, err := ConsumePing(body)
	return Pong(m), err
}

// Leave says that its sender goes for good.
type Leave struct{}

// Kind is KindLeave.
func (m Leave) Kind() Kind { return KindLeave }

// Append appends the message.
func (m Leave) Append(b []byte) []byte {
	return startFrame(b, KindLeave) // the length that startFrame left room for is 0
}

// ConsumeLeave takes any body: Leave has no fields.
func ConsumeLeave([]byte) (Leave, error) {
	return Leave{}, nil
}

// Drain says that its sender is going to leave, or that no call to who said so is in flight any more.
type Drain struct {
	Answer bool
}

// Kind is KindDrain.
func (m Drain) Kind() Kind { return KindDrain }

// Append appends the message.
func (m Drain) Append(b []byte) []byte {
	start := len(b)
	return endFrame(appendBool(startFrame(b, KindDrain), m.Answer), start)
}

// ConsumeDrain decodes the body of a Drain. The errors are ErrShort and ErrField.
func ConsumeDrain(body []byte) (Drain, error) {
	f := fields{b: body}
	m := Drain{Answer: f.bool()}
	return m, f.err
}
