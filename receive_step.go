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
	if kind == wire.KindStale || kind > wire.KindSend {
		r.stats.unknownKind.Add(1) // before talk: it must not cost us an exchange
		return nil
	}
	l.talk(now)
	switch kind {
	case wire.KindRequest:
		m, err := wire.ConsumeRequest(body)
		if err != nil {
			return err
		}
		r.soon = true
		r.request(l.takeRequest(now, m, false, whole), m)
	case wire.KindSend:
		m, err := wire.ConsumeSend(body)
		if err != nil {
			return err
		}
		r.soon = true
		r.request(l.takeRequest(now, wire.Request(m), true, whole), wire.Request(m))
	case wire.KindReply:
		m, err := wire.ConsumeReply(body)
		if err != nil {
			return err
		}
		r.soon = true
		l.takeReply(now, m, whole)
	case wire.KindProgress:
		m, err := wire.ConsumeProgress(body)
		if err != nil {
			return err
		}
		l.takeProgress(now, m)
	case wire.KindPoll:
		m, err := wire.ConsumePoll(body)
		if err != nil {
			return err
		}
		r.abandon(l.takePoll(now, m))
	case wire.KindCancel:
		m, err := wire.ConsumeCancel(body)
		if err != nil {
			return err
		}
		r.abandon(l.takeCancel(m))
	case wire.KindFragment:
		m, err := wire.ConsumeFragment(body)
		if err != nil {
			return err
		}
		return r.whole(now, l, l.takeFragment(now, m))
	case wire.KindFragmentAck:
		m, err := wire.ConsumeFragmentAck(body)
		if err != nil {
			return err
		}
		l.takeFragmentAck(now, m)
	case wire.KindStop:
		m, err := wire.ConsumeStop(body)
		if err != nil {
			return err
		}
		l.takeStop(now, m)
	case wire.KindProbe:
		m, err := wire.ConsumeProbe(body)
		if err != nil {
			return err
		}
		say(l, wire.ProbeAck{ID: m.ID})
	case wire.KindProbeAck:
		m, err := wire.ConsumeProbeAck(body)
		if err != nil {
			return err
		}
		l.takeProbeAck(now, m)
	}
	return nil
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
