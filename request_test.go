package broach

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"broach/internal/link"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// [CALL-16] From then on neither its remaining time, nor Cancel, nor a newer seq in its slot, nor the loss of the link
// ends it. It is the workers' from then on, but still in its slot until the reader has answered it: who finds it there
// meanwhile does not end it, and its place among those that run at once is free again afterwards.
func TestASendIsNotGivenUpWhileItIsAccepted(t *testing.T) {
	onLinkPair(t, Config{}, func(t *testing.T, _, b *linkSide) {
		var runs atomic.Int64
		b.offer(t, "f", func() { runs.Add(1) })
		f := b.serving.offered.get("f")
		f.most = 1
		b.link.Lock(time.Now(), 1)
		send := wire.Send{Seq: 1, Service: []byte("f"), Args: noArguments}.Append(nil)
		require.NoError(t, b.reader.step(time.Now(), b.link, wire.KindSend, wire.Unframe(send)[1:]))
		b.link.Unlock()

		b.link.Fail(link.Outcome{Code: wire.Unreachable, Gone: true, Body: []byte(textOffline)}) // the loop
		b.hear()
		b.reader.offer()
		b.hear()
		require.EqualValues(t, 1, runs.Load())
		require.Zero(t, f.running.Load())
	})
}

// A request is what a call costs its provider in memory: one field more may take the next size that the allocator has.
func TestARequestIsSmall(t *testing.T) {
	require.LessOrEqual(t, unsafe.Sizeof(request{}), uintptr(160))
}

// [CALL-5] A call whose remaining time runs out before it begins MUST NOT run; it is answered DeadlineExceeded,
// executed no.
func TestExpiredCallDoesNotRun(t *testing.T) {
	onLinkPair(t, Config{Pool: Pool{Core: 1, Max: 1}}, func(t *testing.T, a, b *linkSide) {
		runs := 0
		b.offer(t, "slow", func() { time.Sleep(100 * time.Millisecond) })
		b.offer(t, "f", func() { runs++ })
		a.call(t, time.Minute, "slow")
		b.hear(a.script.take()...)
		b.hear(forge(a, b, wire.Request{Slot: 9, Seq: 1, Remaining: 50, Service: []byte("f"), Args: []byte{0x90}}.Append(nil)))
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		require.Zero(t, runs)
		require.Contains(t, repliesIn(b.script.take()), fmt.Sprintf("Reply 9/1 code %d executed %d", DeadlineExceeded, No))
	})
}

// [CALL-7] A request that finds no room MUST NOT be remembered in its slot unless it is answered: it is either answered
// Overloaded, executed no, or left unanswered, so that the caller sends it again.
func TestRequestThatFindsNoRoom(t *testing.T) {
	t.Run("is refused", func(t *testing.T) {
		onLinkPair(t, Config{Pool: Pool{Core: 1, Max: 1, Queue: 1, RejectWhenFull: true}}, func(t *testing.T, a, b *linkSide) {
			b.offer(t, "slow", func() { time.Sleep(time.Second) })
			for range 2 {
				a.call(t, time.Minute, "slow")
				b.hear(a.script.take()...)
			}
			third := a.call(t, time.Minute, "slow")
			shuttle(a, b)
			third.require(t, Overloaded, No)
			b.hear(forge(a, b, wire.Poll{Slot: third.slot, Seq: third.seq}.Append(nil)))
			require.Equal(t, []string{fmt.Sprintf("Reply %d/1 code %d executed %d", third.slot, Overloaded, No)}, repliesIn(b.script.take()))
		})
	})
	t.Run("is postponed and runs once, later", func(t *testing.T) {
		onLinkPair(t, Config{Pool: Pool{Core: 1, Max: 1, Queue: 1}}, func(t *testing.T, a, b *linkSide) {
			var runs atomic.Int32
			b.offer(t, "slow", func() { runs.Add(1); time.Sleep(time.Second) })
			for range 3 { // a worker, the queue, the dispatcher
				a.call(t, time.Minute, "slow")
				b.hear(a.script.take()...)
			}
			late := a.call(t, time.Minute, "slow")
			b.hear(a.script.take()...)
			require.Empty(t, b.script.take(), "left unanswered")
			for range 4000 {
				a.step(time.Millisecond)
				b.step(0)
				shuttle(a, b)
			}
			late.require(t, 0, Yes)
			require.EqualValues(t, 4, runs.Load())
		})
	})
}
