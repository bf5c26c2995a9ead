package broach

import (
	"time"

	"broach/internal/wire"
)

// step gives one message of section 2 or 3 to its link. whole is the transfer that it came as, or nil.
func (r *reader) step(now time.Time, l *link, kind wire.Kind, body, whole []byte) error {
	if l.down {
		return nil
	}
	if !kind.IsOfCalls() {
		r.stats.unknownKind.Add(1) // before talk: it must not cost us an exchange
		return nil
	}
	switch kind { // these need no exchange
	case wire.KindProbe:
		return given(wire.ConsumeProbe, body, l.answerProbe)
	case wire.KindProbeAck:
		return given(wire.ConsumeProbeAck, body, func(m wire.ProbeAck) { l.takeProbeAck(now, m) })
	}
	l.talk(now)
	if kind <= wire.KindCancel || kind == wire.KindSend {
		return r.stepCall(now, l, kind, body, whole)
	}
	return r.stepTransfer(now, l, kind, body)
}

// stepCall takes the messages of section 2.
func (r *reader) stepCall(now time.Time, l *link, kind wire.Kind, body, whole []byte) error {
	switch kind {
	case wire.KindRequest:
		return given(wire.ConsumeRequest, body, func(m wire.Request) { r.takeRequest(now, l, m, false, whole) })
	case wire.KindSend:
		return given(wire.ConsumeSend, body, func(m wire.Send) { r.takeRequest(now, l, wire.Request(m), true, whole) })
	case wire.KindReply:
		return given(wire.ConsumeReply, body, func(m wire.Reply) { r.takeReply(now, l, m, whole) })
	case wire.KindProgress:
		return given(wire.ConsumeProgress, body, func(m wire.Progress) { l.takeProgress(now, m) })
	case wire.KindPoll:
		return given(wire.ConsumePoll, body, func(m wire.Poll) { r.abandon(l.takePoll(now, m)) })
	case wire.KindCancel:
		return given(wire.ConsumeCancel, body, func(m wire.Cancel) { r.abandon(l.takeCancel(m)) })
	}
	return nil
}

// stepTransfer takes the messages of section 3.
func (r *reader) stepTransfer(now time.Time, l *link, kind wire.Kind, body []byte) error {
	switch kind {
	case wire.KindFragment:
		m, err := wire.ConsumeFragment(body)
		if err != nil {
			return err
		}
		return r.whole(now, l, l.takeFragment(now, m))
	case wire.KindFragmentAck:
		return given(wire.ConsumeFragmentAck, body, func(m wire.FragmentAck) { l.takeFragmentAck(now, m) })
	case wire.KindStop:
		return given(wire.ConsumeStop, body, func(m wire.Stop) { l.takeStop(now, m) })
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

func (r *reader) takeRequest(now time.Time, l *link, m wire.Request, oneWay bool, whole []byte) {
	r.soon = true
	if r.spare == nil {
		r.spare = new(request)
	}
	isNew, replaced := l.takeRequest(now, m, oneWay, whole, &r.spare.linkRequest)
	r.abandon(replaced)
	if isNew {
		r.request(l, m)
	}
}

func (r *reader) takeReply(now time.Time, l *link, m wire.Reply, whole []byte) {
	r.soon = true
	l.takeReply(now, m, whole)
}

// whole steps the link with a message that came as a transfer; only a Request, a Send or a Reply may.
func (r *reader) whole(now time.Time, l *link, body []byte) error {
	if body == nil {
		return nil
	}
	err := wire.ErrField
	if kind := wire.Kind(body[0]); kind == wire.KindRequest || kind == wire.KindReply || kind == wire.KindSend {
		err = r.step(now, l, kind, body[1:], body)
	}
	if err != nil {
		l.letGo(body)
	}
	return err
}
