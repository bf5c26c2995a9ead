package link

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"broach/internal/codec"
	"broach/internal/transfer"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// [FRAG-4] A receiver acknowledges at the end of each batch of datagrams, and at once when all has arrived.
func TestFragmentsAreAcknowledgedOncePerBatch(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		a.call(time.Minute, "f", garble(1<<20))
		batch := a.tape.take()
		require.Len(t, batch, 16<<10/transfer.FragmentSize(BasePacket)+1)
		b.hear(batch...)
		require.Equal(t, []string{fmt.Sprintf("FragmentAck 1 base %d", len(batch))}, wordsOf(t, b.tape.take()...))
	})
}

// [FRAG-7] Fragments MUST NOT delay small messages by more than 45 datagrams.
func TestFragmentsLeaveRoomForSmallMessages(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		b.offer("f", func(...[]byte) {})
		for range 4 { // the window grows
			a.call(time.Minute, "f", garble(1<<20))
			deliver(a, b)
		}
		called := false
		a.tape.onSend = func() { // the first burst is out: a caller comes
			if !called {
				called = true
				a.call(time.Minute, "f")
			}
		}
		a.call(time.Minute, "f", garble(1<<20))
		said := wordsOf(t, a.tape.take()...)
		small := slices.IndexFunc(said, func(s string) bool { return strings.HasPrefix(s, "Request ") })
		require.Positive(t, small)
		require.LessOrEqual(t, small, 2*burstMax, "the burst before it, and none after")
		require.Greater(t, len(said), small+burstMax, "fragments went on behind it")
	})
}

// [FRAG-7] Fragments MUST NOT delay small messages by more than 45 datagrams, nor 64 KiB: as many as one offloaded
// sending takes.
func TestABurstOfFragmentsIsNoLargerThanOneSending(t *testing.T) {
	for _, size := range []int{1200, 1400, 1472, 8972, 21829} {
		onEnds(t, bounds{maxPacket: size}, func(t *testing.T, a, b *end) {
			b.offer("f", func(...[]byte) {})
			a.widen(size)
			for range 4 { // the window grows
				a.call(time.Minute, "f", garble(1<<20))
				deliver(a, b)
			}
			largest := 0
			a.tape.onSend = func() {
				bytes := 0
				for _, d := range a.tape.take() {
					bytes += len(d)
				}
				largest = max(largest, bytes)
			}
			a.call(time.Minute, "f", garble(1<<20))
			require.LessOrEqual(t, largest, 64<<10)
			require.Greater(t, largest, min(burstMax*size, 64<<10-size)-size, "but it fills one")
		})
	}
}

func TestManyCallersShareDatagrams(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		b.offer("add", func(x, y int) int { return x + y })
		var calls []*aCall
		a.datagram(b.utter()) // callers come while the reader works on a batch
		for i := range 64 {
			calls = append(calls, a.call(time.Minute, "add", i, i))
		}
		require.Empty(t, a.tape.take())
		a.finish()
		requests := a.tape.take()
		require.LessOrEqual(t, len(requests), 2)
		for _, d := range requests {
			b.datagram(d)
		}
		synctest.Wait() // the workers answer while the reader works on its batch
		require.Empty(t, b.tape.take())
		b.finish()
		replies := b.tape.take()
		require.LessOrEqual(t, len(replies), 2)
		a.hear(replies...)
		for i, c := range calls {
			c.require(t, 0, wire.ExecutedYes)
			sum, err := codec.DecodeAs[int](c.Body)
			require.NoError(t, err)
			require.Equal(t, 2*i, sum)
		}
	})
}

func TestWhatIsAddedWhileTheReaderHoldsIsSentAtTheEnd(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		b.offer("f", func() {})
		b.datagram(a.utter(requestOf(0, 1), requestOf(1, 1)))
		b.link.timeout(time.Now())
		require.Empty(t, b.tape.take())
		b.finish()
		synctest.Wait()
		require.Len(t, wordsOf(t, b.tape.take()...), 2)
		require.False(t, b.link.inHand.has(byReader))
	})
}

// A node that only asks for stored replies, while the system takes no datagrams, fills no memory.
func TestOutboxOfALinkIsBounded(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		b.offer("f", func() []byte { return make([]byte, 1000) })
		b.hear(a.utter(requestOf(0, 1)))
		b.tape.take()
		b.link.inHand |= byFlusher // the flusher waits for the system
		for range 2 * outboxMax {
			b.hear(a.utter(requestOf(0, 1)))
		}
		require.Len(t, b.link.out.ready, outboxMax)
	})
}

// A hello must not go under the version of a table that came after it: the peer would take the old table for the new
// one.
func TestDatagramKeepsTheTableVersionItWasBegunUnder(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		a.wires.Table.Store(3)
		a.link.Queue(wire.Leave{})
		a.wires.Table.Store(4)
		a.link.Queue(wire.Leave{})
		a.link.FlushQueue()
		a.call(time.Minute, "f")
		var versions []uint32
		for _, d := range a.tape.take() {
			h, _, err := wire.ConsumeHeader(d)
			require.NoError(t, err)
			versions = append(versions, h.TableVersion)
		}
		require.Equal(t, []uint32{3, 4}, versions)
	})
}

// What is due but cannot be done, because somebody else flushes, must not keep the loop busy.
func TestLoopDoesNotSpin(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		a.call(time.Minute, "f", garble(1<<20))
		a.hear(b.utter(wire.FragmentAck{Transfer: 1}.Append(nil))) // no room: it asks again later
		a.tape.take()
		a.link.mu.Lock()
		a.link.inHand |= byFlusher // and then somebody waits for the system
		a.link.mu.Unlock()
		time.Sleep(time.Second)
		next, _ := a.wires.Timers.Run(time.Now())
		require.GreaterOrEqual(t, time.Until(next), stepPause)
	})
}

// Who sends may be held up by the system for ever: a call that must end before all else that is due ends all the same.
func TestACallEndsInTimeWhileSomebodyElseSends(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		long := a.call(time.Minute, "f")
		a.link.mu.Lock()
		a.link.inHand |= byFlusher
		a.link.mu.Unlock()
		short := a.call(5*time.Millisecond, "f")
		a.step(5 * time.Millisecond)
		short.require(t, wire.DeadlineExceeded, wire.ExecutedMaybe)
		for range 60 {
			a.step(50 * time.Millisecond)
		}
		long.require(t, wire.Unreachable, wire.ExecutedMaybe)
	})
}

// What only who sends knows to be due is armed when all is sent.
func TestWhoSendsArmsTheLinkAtTheEnd(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		a.call(time.Minute, "f")
		armed := a.link.dueAt.Load()
		a.link.mu.Lock()
		a.link.inHand |= byFlusher
		a.link.mu.Unlock()
		a.call(time.Minute, "f", garble(1<<20))
		require.Equal(t, armed, a.link.dueAt.Load(), "the first call is due before")
		a.link.SendAll()
		require.Less(t, a.link.dueAt.Load(), armed, "the fragments are due before that")
	})
}
