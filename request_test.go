package broach

import (
	"testing"
	"time"
	"unsafe"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// A request is what a call costs its provider in memory: one field more may take the next size that the allocator has.
// A third of it is the context of the function.
func TestARequestIsSmall(t *testing.T) {
	require.LessOrEqual(t, unsafe.Sizeof(request{}), uintptr(240))
}

// The reader gives up the calls of a datagram when it has let go of the link. One that has ended by then is not given
// up in the place of another, which may have its memory by now.
func TestACallIsNotGivenUpInThePlaceOfAnother(t *testing.T) {
	for name, giveUp := range map[string]func(seq uint32) (wire.Kind, []byte){
		"Cancel": func(seq uint32) (wire.Kind, []byte) {
			return wire.KindCancel, wire.Cancel{Slot: 1, Seq: seq}.Append(nil)
		},
		"a later call": func(seq uint32) (wire.Kind, []byte) { return wire.KindRequest, callOfF(1, seq+1) },
		"Poll": func(seq uint32) (wire.Kind, []byte) {
			return wire.KindPoll, wire.Poll{Slot: 1, Seq: seq + 1}.Append(nil)
		},
	} {
		onLinkPair(t, Config{}, func(t *testing.T, _, b *linkSide) {
			b.offer(t, "f", func() {})
			for seq := uint32(1); seq < 200; seq += 2 { // what is used again seldom comes from another processor
				first := b.take(t, wire.KindRequest, callOfF(1, seq))
				kind, message := giveUp(seq)
				b.take(t, kind, message)
				first.Run(time.Now())
				others := []*request{ // the reader has the memory of the next already
					b.take(t, wire.KindRequest, callOfF(8, seq)), b.take(t, wire.KindRequest, callOfF(9, seq)),
				}
				b.reader.takeUpCalls(time.Now())
				require.False(t, others[0].Gone.Load() || others[1].Gone.Load(), name)
			}
		})
	}
}

// take has the reader take one message, and returns the call that this is, or nil: it is the test's.
func (s *linkSide) take(t *testing.T, kind wire.Kind, message []byte) (call *request) {
	s.link.Lock(time.Now(), 1)
	defer s.link.Unlock()
	require.NoError(t, s.reader.step(time.Now(), s.link, kind, wire.Unframe(message)[1:]))
	if len(s.reader.requests) > 0 {
		call, s.reader.requests = s.reader.requests[0], nil
	}
	return call
}
