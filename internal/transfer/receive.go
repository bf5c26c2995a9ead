package transfer

import (
	"time"

	"broach/internal/buffer"
	"broach/internal/wire"
)

const (
	// maxAnswers bounds the acknowledgements, due at the end of a batch, for transfers that are not under way. Those
	// that find no room are not sent: the sender asks again.
	maxAnswers = 128

	// turnTime is how long a transfer that found no room keeps its turn without being heard of: five probes.
	turnTime = 5 * slowestRetry
)

// In receives the large messages of one link, [FRAG-1] to [FRAG-4], [FRAG-8] and [FRAG-9]. It belongs to the link
// and is stepped under its mutex.
//
// A transfer begins when its total fits what is left of two budgets, the link's and the node's; from then on it can
// always be finished, so two transfers never wait for each other. Only what has arrived is allocated. A transfer that
// does not fit, or is the 65th, leaves no trace: it is acknowledged with limit 0, which makes its sender ask again.
//
// A peer that reserves and does not send harms itself, for 10 s or as long as it sends a fragment every 10 s. Many such
// peers together leave the others room for small ones among the large messages only, see buffer.Budget.
type In struct {
	largest int64        // bytes of a message
	Held    buffer.Share // reserved, of what all links may reserve

	transfers map[uint32]*incoming
	endings   endings
	expiry    time.Time // no transfer expires before: zero when there is none
	Since     time.Time // when the first fragment of the newest whole message came

	turn   uint32    // the transfer to begin next: the first that found no room. 0: none
	turnAt time.Time // when it was last heard of

	due     []*incoming // whose acknowledgement is due, unless it was stopped since
	answers []answer
	bitmap  [fragmentSpan / 8]byte // of the acknowledgement that NextAck returned
}

// An answer is an acknowledgement for a transfer that is not under way.
type answer struct{ transfer, base, limit, newest uint32 }

// Init sets the limits, in bytes: of a message, of this link, of all links. A message larger than one of the budgets
// could never begin, and is refused.
func (in *In) Init(largest, budget int64, node *buffer.Budget) {
	*in = In{
		largest:   min(largest, budget, node.Size/2),
		transfers: make(map[uint32]*incoming),
	}
	in.Held.Of, in.Held.Most = node, budget
}

// Fragment takes a fragment, whose data it copies. When it completes a message, the message is returned: the caller
// owns it, calls Release once it is to count no more against the budgets, and may call buffer.Recycle when nobody uses
// it any more. When code is not 0, the transfer is refused: Stop with that code is to be sent. number is that of its
// datagram, the low 32 bits.
func (in *In) Fragment(now time.Time, number uint32, f wire.Fragment) (body []byte, code wire.Code) {
	if !isWellFormed(f) {
		return nil, 0
	}
	t := in.transfers[f.Transfer]
	if t == nil {
		if t, code = in.admit(now, number, f); t == nil {
			return nil, code
		}
	}
	if t.total != f.Total || t.size != uint32(f.Size) {
		return nil, 0
	}
	in.acknowledge(t, number)
	if !t.add(f.Index, f.Data) {
		return nil, 0
	}
	t.newAt = now
	if !t.isComplete() {
		return nil, 0
	}
	in.end(t, delivered)
	in.Since = t.since
	return t.body, 0
}

// isWellFormed is [FRAG-1] as far as one fragment shows it.
func isWellFormed(f wire.Fragment) bool {
	if f.Transfer == 0 || f.Size < minFragment {
		return false
	}
	from, to := cut{total: f.Total, size: uint32(f.Size)}.bounds(f.Index)
	return from < to && int64(len(f.Data)) == to-from
}

// admit begins the transfer of a fragment, or answers it.
func (in *In) admit(now time.Time, number uint32, f wire.Fragment) (*incoming, wire.Code) {
	c := cutInto(f.Total, uint32(f.Size))
	switch how := in.endings.of(f.Transfer); {
	case how == delivered:
		in.answer(answer{f.Transfer, c.count, c.count + fragmentSpan, number})
		return nil, 0
	case how == dropped:
		return nil, wire.Unreachable
	case int64(c.total) > in.largest:
		return nil, wire.TooLarge
	case len(in.transfers) == maxTransfers || !in.reserve(now, f.Transfer, int64(c.total)):
		in.answer(answer{f.Transfer, 0, 0, number})
		return nil, 0
	}
	t := &incoming{cut: c, id: f.Transfer, since: now, newAt: now, newest: number, memory: in.Held.Of}
	in.transfers[t.id] = t
	if in.expiry.IsZero() {
		in.expiry = now.Add(Idle)
	}
	return t, 0
}

// reserve takes the bytes of a transfer from both budgets. The first to find no room in the link's has its turn before
// all others, else small transfers could keep a large one waiting for ever. Room in the node's budget is not waited for
// in turn: it may be another peer that does not give it back.
func (in *In) reserve(now time.Time, id uint32, total int64) bool {
	if in.turn != 0 && in.turn != id && now.Sub(in.turnAt) < turnTime {
		return false
	}
	if !in.Held.Fits(total) {
		in.turn, in.turnAt = id, now
		return false
	}
	in.turn = 0
	return in.Held.Take(total)
}

// Release gives back what is reserved for a message of n bytes that Fragment returned.
func (in *In) Release(n int) { in.Held.Give(int64(n)) }

// end forgets a transfer but for how it ended. What was reserved for a delivered one stays so until release.
func (in *In) end(t *incoming, how ending) {
	delete(in.transfers, t.id)
	in.endings.add(t.id, how)
	if how == dropped {
		t.due = false
		in.Release(int(t.total))
		buffer.Recycle(t.body)
	}
}

// Stop drops a transfer that its sender has given up. Fragments of it that come later are refused.
func (in *In) Stop(id uint32) {
	if t := in.transfers[id]; t != nil {
		in.end(t, dropped)
	}
	if id != 0 {
		in.endings.add(id, dropped)
	}
	if in.turn == id {
		in.turn = 0
	}
}

// Close drops all transfers: the link is over.
func (in *In) Close() {
	for _, t := range in.transfers {
		in.end(t, dropped)
	}
	in.Held.Settle()
}

// Expire is [FRAG-9].
func (in *In) Expire(now time.Time) {
	if in.expiry.IsZero() || now.Before(in.expiry) {
		return
	}
	in.expiry = time.Time{}
	for _, t := range in.transfers {
		at := t.newAt.Add(Idle)
		if !now.Before(at) {
			in.end(t, dropped)
		} else if in.expiry.IsZero() || at.Before(in.expiry) {
			in.expiry = at
		}
	}
}

// NextTimeout returns when to call Expire: zero while no transfer is under way. It may be early, never late.
func (in *In) NextTimeout() time.Time { return in.expiry }

// acknowledge makes an acknowledgement due for what the datagram with that number brought.
func (in *In) acknowledge(t *incoming, number uint32) {
	if int32(number-t.newest) > 0 {
		t.newest = number
	}
	if !t.due {
		t.due = true
		in.due = append(in.due, t)
	}
}

func (in *In) answer(a answer) {
	for i, b := range in.answers {
		if b.transfer == a.transfer {
			in.answers[i] = a
			return
		}
	}
	if len(in.answers) < maxAnswers {
		in.answers = append(in.answers, a)
	}
}

// NextAck returns an acknowledgement that is due, and false when none is left. It is called at the end of each batch of
// datagrams, and when a message is complete, until it returns false. The bitmap is valid until the next call.
func (in *In) NextAck() (wire.FragmentAck, bool) {
	if n := len(in.answers); n > 0 {
		a := in.answers[n-1]
		in.answers = in.answers[:n-1]
		return wire.FragmentAck{Transfer: a.transfer, Base: a.base, Limit: a.limit, Newest: a.newest}, true
	}
	for n := len(in.due); n > 0; n-- {
		t := in.due[n-1]
		in.due[n-1] = nil
		in.due = in.due[:n-1]
		if t.due {
			t.due = false
			ack := wire.FragmentAck{Transfer: t.id, Base: t.base, Limit: t.limit(), Newest: t.newest}
			ack.Bitmap = t.bitmap(in.bitmap[:0])
			return ack, true
		}
	}
	return wire.FragmentAck{}, false
}
