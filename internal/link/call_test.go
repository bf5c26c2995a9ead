package link

import (
	"math"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

func TestJitterSpreadsCallersThatLostTogether(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		for range 64 {
			a.call(time.Minute, "f")
		}
		a.tape.take()
		a.step(50 * time.Millisecond) // all are sent again at once: none has jitter yet
		require.Len(t, wordsOf(t, a.tape.take()...), 64+1, "and a Probe")
		moments := 0
		for range 130 {
			a.step(time.Millisecond)
			if len(a.tape.take()) > 0 {
				moments++
			}
		}
		require.Greater(t, moments, 15)
	})
}

// [CALL-9] A call sent once gives a measurement when its Reply or Progress comes (Karn's algorithm).
func TestOnlyCallsSentOnceMeasureTheRoundTrip(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		b.offer("f", func() {})
		first := a.call(time.Minute, "f")
		toB := a.tape.take()
		a.step(50 * time.Millisecond)
		a.tape.take()
		b.hear(toB...)
		a.hear(b.tape.take()...)
		first.require(t, 0, wire.ExecutedYes)
		require.Zero(t, a.link.exchange.rtt.smoothed, "which sending was answered is not known")

		a.call(time.Minute, "f")
		toB = a.tape.take()
		time.Sleep(3 * time.Millisecond)
		b.hear(toB...)
		a.hear(b.tape.take()...)
		require.Equal(t, 3*time.Millisecond, a.link.exchange.rtt.smoothed)
	})
}

func TestTransferIsNoMeasureOfTheRoundTrip(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		b.offer("size", func(x []byte) int { return len(x) })
		call := a.call(time.Minute, "size", garble(200<<10))
		for !call.over() {
			time.Sleep(time.Millisecond) // a round trip of 1 ms, and many of them
			b.hear(a.tape.take()...)
			a.hear(b.tape.take()...)
			require.Less(t, a.link.exchange.rtt.smoothed, 2*time.Millisecond)
		}
	})
}

// [CALL-11] When nothing at all came from the peer for the acknowledgement time while a call waits, the call fails:
// Unreachable, executed maybe.
func TestSilentPeerFailsCalls(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		call := a.call(time.Minute, "f")
		large := a.call(time.Minute, "f", garble(1<<20))
		for range 2999 {
			a.step(time.Millisecond)
		}
		require.False(t, call.over() || large.over())
		a.step(time.Millisecond)
		call.require(t, wire.Unreachable, wire.ExecutedMaybe)
		large.require(t, wire.Unreachable, wire.ExecutedMaybe)
		require.False(t, a.link.exchange.sending.IsBusy(), "nothing is sent for them any more")
	})
}

// [CALL-11] Time in which the caller's process did not run is no silence of the peer: it reads first what came
// meanwhile, once.
func TestCallsOutliveAStandstillOfTheirProcess(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		b.offer("add", func(x, y int) int { return x + y })
		call, taken := a.call(time.Minute, "add", 1, 2), a.call(time.Minute, "add", 3, 4)
		a.hear(b.utter(wire.Progress{Slot: taken.slot, Seq: taken.seq}.Append(nil)))
		b.hear(a.tape.take()...)
		for range 2 {
			a.step(10 * time.Second) // the loop comes first, and the reader some time later
			a.step(50 * time.Millisecond)
			require.False(t, call.over() || taken.over())
			a.hear(b.utter())
			a.step(time.Second)
		}
		a.hear(b.tape.take()...)
		call.require(t, 0, 0)
		taken.require(t, 0, 0)

		call, large := a.call(time.Hour, "f"), a.call(time.Hour, "f", garble(1<<20))
		a.step(10 * time.Second)
		require.False(t, call.over() || large.over())
		for range 30 {
			a.step(100 * time.Millisecond)
		}
		call.require(t, wire.Unreachable, wire.ExecutedMaybe)
		large.require(t, wire.Unreachable, wire.ExecutedMaybe)

		call = a.call(time.Hour, "f")
		a.step(10 * time.Second)
		require.False(t, call.over())
		a.step(10 * time.Second)
		call.require(t, wire.Unreachable, wire.ExecutedMaybe)
	})
}

func TestAnySignOfThePeerKeepsCallsAlive(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		call := a.call(time.Minute, "f")
		for range 10 {
			a.step(2 * time.Second)
			a.hear(b.utter())
		}
		require.False(t, call.over())
	})
}

// [LNK-10] all links of the old one are closed, confirmed or not, calls fail, Unreachable, executed maybe
func TestClosedLinkFailsItsCalls(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		small, large := a.call(time.Minute, "f"), a.call(time.Minute, "f", garble(1<<20))
		a.link.Close(Outcome{Code: wire.Unreachable})
		small.require(t, wire.Unreachable, wire.ExecutedMaybe)
		large.require(t, wire.Unreachable, wire.ExecutedMaybe)
		_, _, err := a.link.Send(time.Now(), time.Now().Add(time.Second), frameOf("f", nil), a.wires.NewCall())
		require.ErrorIs(t, err, ErrDown)
		a.hear(b.utter(wire.Reply{Slot: 0, Seq: 1, Executed: 2}.Append(nil))) // too late, and harmless
		a.step(time.Hour)
		require.False(t, a.link.armed)
	})
}

// A deadline that means never is as far off as one can be told, and never near.
func TestRemainingTime(t *testing.T) {
	now := time.Now()
	for left, want := range map[time.Duration]uint32{
		-1: 1, 0: 1, 1: 1, time.Millisecond: 1, time.Millisecond + 1: 2, 3 * time.Millisecond: 3,
		49 * 24 * time.Hour: 49 * 24 * 3600 * 1000, 50 * 24 * time.Hour: 1<<32 - 1,
		200 * 365 * 24 * time.Hour: 1<<32 - 1, math.MaxInt64: 1<<32 - 1, math.MinInt64: 1,
	} {
		require.Equal(t, want, Remaining(now, now.Add(left)), "%v", left)
	}
	for _, year := range []int{2100, 2317, 2320, 9999, 1 << 20} {
		require.EqualValues(t, uint32(1<<32-1), Remaining(now, time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)), "%d", year)
	}
	require.EqualValues(t, 1, Remaining(now, time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC)))
}

// [CALL-15] ... the code and the text stand.
func TestTheRestOfAReplyStands(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		unread := wire.AppendPair(nil, "bold", []byte{7})
		for _, causes := range [][]byte{unread, wire.AppendPair(unread, "sold out", nil)} {
			call := a.call(time.Minute, "f")
			reply := b.utter(wire.Reply{Slot: call.slot, Seq: call.seq, Code: 1001, Executed: 2, Causes: causes,
				Body: []byte("no")}.Append(nil))
			a.datagram(reply)
			a.finish()
			clear(reply) // the memory of a datagram is used again
			call.require(t, 1001, wire.ExecutedYes)
			require.Equal(t, "no", string(call.Body))
			require.Equal(t, causes, call.Causes)
			a.free(call)
			require.Nil(t, call.Causes)
		}
	})
}
