package wire

import (
	"encoding/binary"
	"unicode/utf8"
)

// The fixed parts of the bodies of this file, in bytes.
const (
	requestHead = 11 // up to the length of the service's name
	replyHead   = 11
	slotSeqSize = 6
)

// remainingOffset is where the body of a Request has its remaining time, which is written anew at each sending.
const remainingOffset = 6

// Request asks for a call. Consumed, its slices alias the input.
type Request struct {
	Slot      uint16
	Seq       uint32
	Remaining uint32 // time left to the call in milliseconds; 0: no deadline
	Service   []byte // 1 to MaxName bytes of UTF-8
	Meta      []byte // metadata as AppendPair makes them
	Args      []byte // encoded as section 6.1 of PROTOCOL.md says; not looked at here
}

// Append appends the message.
func (m Request) Append(b []byte) []byte {
	start := len(b)
	return endFrame(m.AppendBody(startFrame(b, KindRequest)), start)
}

// AppendBody appends the message without its frame, for a transfer: it may have any length.
func (m Request) AppendBody(b []byte) []byte {
	b = appendSlotSeq(b, m.Slot, m.Seq)
	b = binary.BigEndian.AppendUint32(b, m.Remaining)
	b = appendString(b, m.Service)
	b = appendPairs(b, m.Meta)
	return append(b, m.Args...)
}

// ConsumeRequest decodes the body of a Request. The errors are ErrShort, ErrField for the service's name or a key of
// the metadata, and ErrLimit and ErrOrder for the metadata.
func ConsumeRequest(body []byte) (Request, error) {
	if len(body) < requestHead {
		return Request{}, ErrShort
	}
	n := int(body[requestHead-1])
	if n == 0 || n > MaxName {
		return Request{}, ErrField
	}
	if len(body) < requestHead+n {
		return Request{}, ErrShort
	}
	meta, args, err := cutPairs(body[requestHead+n:])
	if err != nil {
		return Request{}, err
	}
	if _, err = StreamsIn(meta); err != nil {
		return Request{}, err
	}
	service := body[requestHead : requestHead+n : requestHead+n]
	if !utf8.Valid(service) {
		return Request{}, ErrField
	}
	return Request{
		Slot:      binary.BigEndian.Uint16(body),
		Seq:       binary.BigEndian.Uint32(body[2:]),
		Remaining: binary.BigEndian.Uint32(body[remainingOffset:]),
		Service:   service,
		Meta:      meta,
		Args:      args,
	}, nil
}

// Send asks for a call whose outcome nobody waits for.
type Send Request

// Append appends the message.
func (m Send) Append(b []byte) []byte {
	start := len(b)
	return endFrame(Request(m).AppendBody(startFrame(b, KindSend)), start)
}

// ConsumeSend decodes the body of a Send. The errors are those of ConsumeRequest.
func ConsumeSend(body []byte) (Send, error) {
	m, err := ConsumeRequest(body)
	return Send(m), err
}

// SetRemaining rewrites the remaining time, in milliseconds, of an encoded Request with its frame.
func SetRemaining(frame []byte, ms uint32) {
	SetBodyRemaining(frame[FrameSize:], ms)
}

// SetBodyRemaining rewrites the remaining time, in milliseconds, of an encoded Request without its frame.
func SetBodyRemaining(body []byte, ms uint32) {
	binary.BigEndian.PutUint32(body[remainingOffset:], ms)
}

// executedOffset is where the body of a Reply says whether the handler ran.
const executedOffset = 10

// The bits of that byte. Others are ignored.
const (
	executedMask = 3
	forwarded    = 4
	afterChunks  = 8
)

// Reply is the end of a call. Consumed, its slice aliases the input.
type Reply struct {
	Slot     uint16
	Seq      uint32
	Code     Code // 0: done
	Executed Executed
	// the code is that of a call which the function made, and says nothing of the provider; only of an error
	Forwarded bool
	// it counts when the last chunk of the results has come
	AfterChunks bool
	Causes      []byte // of an error, as AppendPair makes them
	Body        []byte // the results, or the error's text, whose UTF-8 is not checked here
}

// Append appends the message.
func (m Reply) Append(b []byte) []byte {
	start := len(b)
	return endFrame(m.AppendBody(startFrame(b, KindReply)), start)
}

// AppendBody appends the message without its frame, for a transfer: it may have any length.
func (m Reply) AppendBody(b []byte) []byte {
	b = appendSlotSeq(b, m.Slot, m.Seq)
	b = binary.BigEndian.AppendUint32(b, uint32(m.Code))
	executed := byte(m.Executed)
	if m.Forwarded {
		executed |= forwarded
	}
	if m.AfterChunks {
		executed |= afterChunks
	}
	b = append(b, executed)
	if m.Code != 0 {
		b = appendPairs(b, m.Causes)
	}
	return append(b, m.Body...)
}

// ConsumeReply decodes the body of a Reply. The errors are ErrShort, ErrField for executed, a done call that is
// forwarded or the name of a cause, and ErrLimit and ErrOrder for the causes.
func ConsumeReply(body []byte) (Reply, error) {
	if len(body) < replyHead {
		return Reply{}, ErrShort
	}
	executed := body[executedOffset]
	m := Reply{
		Slot:      binary.BigEndian.Uint16(body),
		Seq:       binary.BigEndian.Uint32(body[2:]),
		Code:      Code(binary.BigEndian.Uint32(body[6:])),
		Executed:  Executed(executed & executedMask),
		Forwarded: executed&forwarded != 0,
		Body:      body[replyHead:],

		AfterChunks: executed&afterChunks != 0,
	}
	if m.Executed > ExecutedYes || m.Forwarded && m.Code == 0 {
		return Reply{}, ErrField
	}
	if m.Code == 0 {
		return m, nil
	}
	var err error
	if m.Causes, m.Body, err = cutPairs(m.Body); err != nil {
		return Reply{}, err
	}
	return m, nil
}

// Progress says that the request has arrived and is being worked on.
type Progress struct {
	Slot uint16
	Seq  uint32
}

// Poll asks how the call is going.
type Poll Progress

// Cancel says that the caller no longer wants the result.
type Cancel Progress

// Append appends the message.
func (m Progress) Append(b []byte) []byte {
	start := len(b)
	return endFrame(appendSlotSeq(startFrame(b, KindProgress), m.Slot, m.Seq), start)
}

// Append appends the message.
func (m Poll) Append(b []byte) []byte {
	start := len(b)
	return endFrame(appendSlotSeq(startFrame(b, KindPoll), m.Slot, m.Seq), start)
}

// Append appends the message.
func (m Cancel) Append(b []byte) []byte {
	start := len(b)
	return endFrame(appendSlotSeq(startFrame(b, KindCancel), m.Slot, m.Seq), start)
}

// ConsumeProgress decodes the body of a Progress. The only error is ErrShort.
func ConsumeProgress(body []byte) (Progress, error) {
	if len(body) < slotSeqSize {
		return Progress{}, ErrShort
	}
	return Progress{Slot: binary.BigEndian.Uint16(body), Seq: binary.BigEndian.Uint32(body[2:])}, nil
}

// ConsumePoll decodes the body of a Poll. The only error is ErrShort.
func ConsumePoll(body []byte) (Poll, error) {
	m, err := ConsumeProgress(body)
	return Poll(m), err
}

// ConsumeCancel decodes the body of a Cancel. The only error is ErrShort.
func ConsumeCancel(body []byte) (Cancel, error) {
	m, err := ConsumeProgress(body)
	return Cancel(m), err
}

// appendSlotSeq appends what names a call on its link.
func appendSlotSeq(b []byte, slot uint16, seq uint32) []byte {
	b = binary.BigEndian.AppendUint16(b, slot)
	return binary.BigEndian.AppendUint32(b, seq)
}
