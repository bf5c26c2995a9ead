package link

import (
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// The memory of a request is used again when it is answered, unless somebody else has taken it up before, to give it
// up: that would end the next call in that memory.
func TestARequestThatWasTakenUpIsNotUsedAgain(t *testing.T) {
	for _, c := range []struct {
		name  string
		event func(t *testing.T, b *end) *Request // returns whom the reader is to give up
		alone bool
	}{
		{"nothing", func(*testing.T, *end) *Request { return nil }, true},
		{"a Poll", func(t *testing.T, b *end) *Request {
			return b.stepTo(t, wire.KindPoll, wire.Poll{Slot: 7, Seq: 1}).Abandoned
		}, true},
		{"a Request that comes again", func(t *testing.T, b *end) *Request {
			return b.stepTo(t, wire.KindRequest, wire.Request{Slot: 7, Seq: 1, Service: []byte("f")}).Abandoned
		}, true},
		{"a Cancel", func(t *testing.T, b *end) *Request {
			return b.stepTo(t, wire.KindCancel, wire.Cancel{Slot: 7, Seq: 1}).Abandoned
		}, false},
		{"a Poll for a later call", func(t *testing.T, b *end) *Request {
			return b.stepTo(t, wire.KindPoll, wire.Poll{Slot: 7, Seq: 2}).Abandoned
		}, false},
		{"the next call of the slot", func(t *testing.T, b *end) *Request {
			return b.stepTo(t, wire.KindRequest, wire.Request{Slot: 7, Seq: 2, Service: []byte("f")}).Abandoned
		}, false},
		{"the loss of the peer", func(_ *testing.T, b *end) *Request {
			b.link.Fail(Outcome{Code: wire.Unreachable})
			return nil
		}, false},
		{"the end of the link", func(_ *testing.T, b *end) *Request {
			b.link.Close(Outcome{Code: wire.Unreachable})
			return nil
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			onEnds(t, bounds{}, func(t *testing.T, _, b *end) {
				r := b.stepTo(t, wire.KindRequest, wire.Request{Slot: 7, Seq: 1, Service: []byte("f")}).Spare
				abandoned := c.event(t, b)
				require.Equal(t, !c.alone, r.Gone.Load() || abandoned == r, "somebody has it")
				reply := wire.Reply{Slot: 7, Seq: 1, Executed: wire.ExecutedYes}.Append(nil)
				require.Equal(t, c.alone, b.link.Answer(time.Now(), r, reply))
			})
		})
	}
}

// stepTo has the link take a message, alone in its datagram.
func (e *end) stepTo(t *testing.T, kind wire.Kind, m interface{ Append([]byte) []byte }) *Arrival {
	a := &Arrival{Spare: new(Request)}
	e.link.Lock(time.Now(), 1)
	defer e.link.Unlock()
	require.NoError(t, e.link.Step(time.Now(), kind, wire.Unframe(m.Append(nil))[1:], a))
	return a
}
