package link

import (
	"testing"
	"time"

	"broach/internal/buffer"
	"broach/internal/codec"
	"broach/internal/function"
	"broach/internal/transfer"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// lentBytes are made as those of the user's face are.
type lentBytes struct {
	Bytes []byte
	Loan  buffer.Loan
}

var lentShape = function.Unary(
	func(d *codec.Decoder) (lentBytes, error) {
		b, err := codec.ReadLent(d)
		return lentBytes{Bytes: b}, err
	},
	func(e *codec.Encoder, l lentBytes) error { return codec.WriteBytes(e, l.Bytes) },
)

// offerLent makes two functions callable, which return what they are lent, or the middle of it.
func (e *end) offerLent() {
	e.offer("echo", func(b lentBytes) lentBytes { return b })
	e.offer("middle", func(b lentBytes) lentBytes { return lentBytes{Bytes: b.Bytes[100 : len(b.Bytes)-100]} })
}

// nextTransfer is the number of the next transfer, which it begins.
func (e *end) nextTransfer() uint32 {
	return e.link.exchange.sending.Start(transfer.Body{Head: []byte{1}}, 0)
}

// A reply that ends with a part of its request is sent from there, and the memory goes back when it has been sent.
func TestAReplyEndsWithAPartOfItsRequest(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		b.offerLent()
		for _, n := range []int{1000, 70_000, 1 << 20} {
			for _, name := range []string{"echo", "middle"} {
				sent := garble(n)
				call := a.call(time.Minute, name, sent)
				deliver(a, b)
				call.require(t, 0, wire.ExecutedYes)
				want := sent
				if name == "middle" {
					want = sent[100 : n-100]
				}
				got, err := codec.DecodeAs[[]byte](call.Body)
				require.NoError(t, err)
				require.Equal(t, want, got)
				a.free(call)
				requireNothingHeld(t, a, b)
			}
		}
	})
}

func requireNothingHeld(t *testing.T, ends ...*end) {
	t.Helper()
	for _, e := range ends {
		require.Zero(t, e.wires.memory.Used())
		require.Zero(t, e.link.exchange.receiving.Held.Used())
		require.Zero(t, e.wires.moving.Used())
	}
}

// Such a reply counts with all that it keeps, whatever of that it sends.
func TestAReplyCountsWithTheRequestThatItKeeps(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		b.offer("end", func(b lentBytes) lentBytes { return lentBytes{Bytes: b.Bytes[len(b.Bytes)-70_000:]} })
		call := a.call(time.Minute, "end", garble(1<<20))
		for b.wires.moving.Used() == 0 {
			b.hear(a.tape.take()...)
			if b.wires.moving.Used() == 0 {
				a.hear(b.tape.take()...)
			}
		}
		require.Greater(t, b.wires.moving.Used(), int64(1<<20))
		require.Zero(t, b.wires.memory.Used(), "it is the reply's")
		a.hear(b.tape.take()...)
		deliver(a, b)
		call.require(t, 0, wire.ExecutedYes)
		a.free(call)

		b.wires.moving.Size = 1 << 20
		call = a.call(time.Minute, "end", garble(1<<20))
		deliver(a, b)
		call.require(t, wire.Overloaded, wire.ExecutedYes)
		a.free(call)
		requireNothingHeld(t, a, b)
	})
}

// Whoever gives a call up gets his argument back, and the provider its memory.
func TestALentReplyThatNobodyWaitsFor(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		b.offerLent()
		sent := garble(1 << 20)
		call := a.call(time.Minute, "echo", sent)
		b.hear(a.tape.take()...)
		a.hear(b.tape.take()...)
		require.True(t, a.link.Abandon(call.slot, call.seq))
		clear(sent)
		deliver(a, b)
		requireNothingHeld(t, a, b)

		sent = garble(1 << 20)
		call = a.call(time.Minute, "echo", sent)
		for b.wires.moving.Used() == 0 {
			b.hear(a.tape.take()...)
			if b.wires.moving.Used() == 0 {
				a.hear(b.tape.take()...)
			}
		}
		require.True(t, a.link.Abandon(call.slot, call.seq))
		deliver(a, b)
		requireNothingHeld(t, a, b)
		b.link.Close(Outcome{Code: wire.Unreachable})
		require.Zero(t, b.wires.moving.Used())
	})
}

// [PATH-6] and a transfer with larger fragments is stopped and begun anew under another number.
func TestALentReplyIsCutAnewWhenThePathShrinks(t *testing.T) {
	onEnds(t, bounds{maxPacket: 8972}, func(t *testing.T, a, b *end) {
		want := garble(500_000)
		b.offerLent()
		a.widen(8972)
		b.widen(8972)
		call := a.call(10*time.Second, "echo", want)
		for b.wires.moving.Used() == 0 {
			b.hear(a.tape.take()...)
			if b.wires.moving.Used() == 0 {
				a.hear(b.tape.take()...)
			}
		}
		b.tape.take()
		runWithin(t, a, b, 8972, 1250, call)
		call.require(t, 0, wire.ExecutedYes)
		require.Equal(t, want, call.Body[len(call.Body)-len(want):])
		a.free(call)
		deliver(a, b)
		requireNothingHeld(t, a, b)
	})
}
