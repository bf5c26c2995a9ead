package link

import (
	"time"

	"broach/internal/wire"
)

// An Arrival is what a message on a link comes to for its reader.
type Arrival struct {
	Spare *Request // what a new call is made of

	IsNew     bool     // the spare is a new call now
	Service   []byte   // of that; valid as long as the datagram is, or the transfer
	Meta      []byte   // likewise
	Abandoned *Request // a call that nobody waits for any more
	IsUnknown bool     // the message is of no kind that we know
	GoesOn    bool     // calls go on: the next datagram is expected at once
}

// Lock begins the steps through a datagram with a number, which the reader has accepted; Unlock ends them. Until the
// reader calls Unhold, at the end of its batch, nothing is sent; Lock reports whether it is to.
func (l *Link) Lock(now time.Time, number uint32) (toUnhold bool) {
	l.mu.Lock()
	l.stepping = number
	l.confirm = nil // the peer knows the link
	l.noteFirst(now)
	toUnhold = !l.inHand.has(byReader)
	l.inHand |= byReader
	return toUnhold
}

// Unlock ends the steps through a datagram.
func (l *Link) Unlock() { l.mu.Unlock() }

// Step takes one message of section 2 or 3. The link is locked. An error says that it is malformed.
func (l *Link) Step(now time.Time, kind wire.Kind, body []byte, a *Arrival) error {
	if l.down {
		return nil
	}
	if !kind.IsOfCalls() {
		a.IsUnknown = true // before talk: it must not cost us an exchange
		return nil
	}
	switch kind { // these need no exchange
	case wire.KindProbe:
		return given(wire.ConsumeProbe, body, l.answerProbe)
	case wire.KindProbeAck:
		return given(wire.ConsumeProbeAck, body, func(m wire.ProbeAck) { l.takeProbeAck(now, m) })
	}
	x := l.talk(now)
	if kind <= wire.KindCancel || kind == wire.KindSend {
		return x.stepCall(now, kind, body, nil, a)
	}
	return x.stepTransfer(now, kind, body, a)
}

// stepCall takes the messages of section 2. whole is the transfer that one came as, or nil.
func (x *exchange) stepCall(now time.Time, kind wire.Kind, body, whole []byte, a *Arrival) error {
	switch kind {
	case wire.KindRequest:
		return given(wire.ConsumeRequest, body, func(m wire.Request) { x.takeRequest(now, m, TwoWay, whole, a) })
	case wire.KindSend:
		return given(wire.ConsumeSend, body,
			func(m wire.Send) { x.takeRequest(now, wire.Request(m), OneWay, whole, a) })
	case wire.KindReply:
		a.GoesOn = true
		return given(wire.ConsumeReply, body, func(m wire.Reply) { x.takeReply(now, m, whole) })
	case wire.KindProgress:
		return given(wire.ConsumeProgress, body, func(m wire.Progress) { x.takeProgress(now, m) })
	case wire.KindPoll:
		return given(wire.ConsumePoll, body, func(m wire.Poll) { a.Abandoned = x.takePoll(now, m) })
	case wire.KindCancel:
		return given(wire.ConsumeCancel, body, func(m wire.Cancel) { a.Abandoned = x.takeCancel(m) })
	}
	return nil
}

// stepTransfer takes the messages of section 3.
func (x *exchange) stepTransfer(now time.Time, kind wire.Kind, body []byte, a *Arrival) error {
	switch kind {
	case wire.KindFragment:
		m, err := wire.ConsumeFragment(body)
		if err != nil {
			return err
		}
		return x.stepWhole(now, x.takeFragment(now, m), a)
	case wire.KindFragmentAck:
		return given(wire.ConsumeFragmentAck, body, func(m wire.FragmentAck) { x.takeFragmentAck(now, m) })
	case wire.KindStop:
		return given(wire.ConsumeStop, body, func(m wire.Stop) { a.Abandoned = x.takeStop(now, m) })
	case wire.KindChunk:
		a.GoesOn = true
		return given(wire.ConsumeChunk, body, x.takeChunk)
	}
	return nil
}

// given reads a message and has it taken, unless it is malformed.
func given[M any](consume func([]byte) (M, error), body []byte, take func(M)) error {
	m, err := consume(body)
	if err == nil {
		take(m)
	}
	return err
}

// stepWhole takes a message that came as a transfer; only a Request, a Send or a Reply may.
func (x *exchange) stepWhole(now time.Time, body []byte, a *Arrival) error {
	if body == nil {
		return nil
	}
	err := wire.ErrField
	if kind := wire.Kind(body[0]); kind == wire.KindRequest || kind == wire.KindReply || kind == wire.KindSend {
		err = x.stepCall(now, kind, body[1:], body, a)
	}
	if err != nil {
		x.letGo(body)
	}
	return err
}
