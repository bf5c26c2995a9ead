package link

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// [CALL-2] A Request with the slot's last seq is a duplicate and MUST NOT run again: it is answered with the stored
// Reply, or Progress while the call runs.
func TestDuplicateIsAnsweredFromTheStoredReply(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		runs, end := 0, make(chan struct{})
		b.offer("f", func(x int) int { runs++; <-end; return x })
		call := a.call(time.Minute, "f", 7)
		request := a.tape.take()
		b.hear(request...)
		a.step(50 * time.Millisecond)
		again := a.tape.take()
		require.Equal(t, []string{"Request 0/1", "kind 10"}, wordsOf(t, again...))
		b.hear(again...)
		require.Equal(t, []string{"Progress 0/1", "kind 11"}, wordsOf(t, b.tape.take()...))
		close(end)
		synctest.Wait()
		first := b.tape.take()
		require.Equal(t, []string{"Reply 0/1 code 0 executed 2"}, wordsOf(t, first...))
		b.hear(a.utter(requestOf(0, 1)))
		second := b.tape.take()
		require.Equal(t, first[0][wire.HeaderSize:], second[0][wire.HeaderSize:], "the very same reply")
		a.hear(second...)
		call.require(t, 0, wire.ExecutedYes)
		require.Equal(t, 1, runs)
	})
}

// requestOf is an encoded Request for f without arguments.
func requestOf(slot uint16, seq uint32) []byte {
	return wire.Request{Slot: slot, Seq: seq, Remaining: 10000, Service: []byte("f"), Args: []byte{0x90}}.Append(nil)
}

// [CALL-4] The reply is the acknowledgement. A call that is not answered 5 ms after its Request came is acknowledged
// with Progress.
func TestProgressComesAfterFiveMilliseconds(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		b.offer("f", func() { time.Sleep(8 * time.Millisecond) })
		call := a.call(time.Minute, "f")
		b.hear(a.tape.take()...)
		b.step(5*time.Millisecond - 1)
		require.Empty(t, b.tape.take())
		b.step(1)
		require.Equal(t, []string{"Progress 0/1"}, wordsOf(t, b.tape.take()...))
		b.step(3 * time.Millisecond)
		require.Equal(t, []string{"Reply 0/1 code 0 executed 2"}, wordsOf(t, b.tape.take()...))
		require.False(t, call.over())
	})
}

// [CALL-12] A caller that gives up sends Cancel once, and uses the next seq of the slot for its next call.
// [CALL-6] Cancel, the deadline, a newer seq in the slot and the loss of the link each end the context of the running
// call.
func TestWhatEndsTheContextOfARunningCall(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(a, b *end, call *aCall)
		want error
	}{
		{"cancel", func(a, b *end, call *aCall) {
			require.True(t, a.link.Abandon(call.slot, call.seq))
			require.False(t, a.link.Abandon(call.slot, call.seq), "it is given up once")
			sent := a.tape.take()
			require.Equal(t, []string{"Cancel 0/1"}, wordsOf(t, sent...))
			b.hear(sent...)
		}, context.Canceled},
		{"the deadline", func(a, b *end, call *aCall) { b.step(time.Minute) }, context.DeadlineExceeded},
		{"a newer seq", func(a, b *end, call *aCall) { b.hear(a.utter(requestOf(0, 2))) }, context.Canceled},
		{"the loss of the link", func(a, b *end, call *aCall) { b.link.Close(Outcome{Code: wire.Unreachable}) },
			context.Canceled},
	} {
		t.Run(c.name, func(t *testing.T) {
			onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
				endc := make(chan error, 1)
				b.offer("wait", func(ctx context.Context) { <-ctx.Done(); endc <- ctx.Err() })
				call := a.call(time.Minute, "wait")
				b.hear(a.tape.take()...)
				require.Empty(t, endc)
				c.end(a, b, call)
				require.Equal(t, c.want, <-endc)
			})
		})
	}
}

// [CALL-1] A Request newer than the slot's last seq is a new call: it ends the context of a call still running in the
// slot, drops the stored reply and runs.
// [CALL-3] An older Request MUST be ignored.
func TestNewerSeqTakesTheSlot(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		runs := 0
		b.offer("f", func() { runs++ })
		b.hear(a.utter(requestOf(0, 5)))
		b.hear(a.utter(requestOf(0, 9)))
		require.Equal(t, 2, runs)
		b.tape.take()
		b.hear(a.utter(requestOf(0, 5)), a.utter(requestOf(0, 8)))
		require.Equal(t, 2, runs)
		require.Empty(t, b.tape.take())
	})
}

// [CALL-7] The answer to a Poll for a call that is not known is stored: a Request that was long on its way does not
// run.
func TestACallIsNotRunAfterAPollWasToldSo(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		runs := 0
		b.offer("f", func() { runs++ })
		b.hear(a.utter(wire.Poll{Slot: 0, Seq: 1}.Append(nil)))
		want := []string{fmt.Sprintf("Reply 0/1 code %d executed %d", wire.Overloaded, wire.ExecutedNo)}
		require.Equal(t, want, wordsOf(t, b.tape.take()...))
		b.hear(a.utter(requestOf(0, 1)))
		require.Equal(t, want, wordsOf(t, b.tape.take()...))
		require.Zero(t, runs)
	})
}

// [CALL-8] A stored reply is kept for 60 s ...; a Request or Poll for a reply no longer kept is answered
// Unreachable, executed as the reply said.
func TestReplyNoLongerKept(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		runs := 0
		b.offer("f", func() { runs++ })
		b.hear(a.utter(requestOf(0, 1)))
		b.tape.take()
		b.step(60*time.Second - 1)
		b.hear(a.utter(requestOf(0, 1)))
		require.Equal(t, []string{"Reply 0/1 code 0 executed 2"}, wordsOf(t, b.tape.take()...))
		b.step(1)
		for _, m := range [][]byte{requestOf(0, 1), wire.Poll{Slot: 0, Seq: 1}.Append(nil)} {
			b.hear(a.utter(m))
			require.Equal(t, []string{fmt.Sprintf("Reply 0/1 code %d executed %d", wire.Unreachable, wire.ExecutedYes)},
				wordsOf(t, b.tape.take()...))
		}
		require.Equal(t, 1, runs)
	})
}

// A peer may begin with any slot; closing finds the call all the same.
func TestCloseEndsACallInTheHighestSlot(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		endc := make(chan error, 1)
		b.offer("f", func(ctx context.Context) { <-ctx.Done(); endc <- ctx.Err() })
		b.hear(a.utter(requestOf(maxSlots-1, 1)))
		b.link.Close(Outcome{Code: wire.Unreachable})
		require.Equal(t, context.Canceled, <-endc)
	})
}

// [MSG-1] A message of unknown kind MUST be skipped and counted.
func TestUnknownKindCostsNoExchange(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		for i, kind := range []byte{0, 9, 31} {
			b.hear(a.utter([]byte{kind, 0, 0}))
			require.EqualValues(t, i+1, b.unknown, "kind %d", kind)
		}
		require.Nil(t, b.link.exchange)
	})
}
