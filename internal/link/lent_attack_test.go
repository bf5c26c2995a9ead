package link

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// madeUp is a message that somebody makes up about transfers and calls that are under way, or not.
func madeUp(rng *rand.Rand) []byte {
	number := func() uint32 { return []uint32{rng.Uint32(), ^uint32(0), rng.Uint32N(1200)}[rng.IntN(3)] }
	id, slot, seq := rng.Uint32N(14), uint16(rng.IntN(4)), rng.Uint32N(6)
	switch rng.IntN(8) {
	case 0, 1, 2:
		ack := wire.FragmentAck{Transfer: id, Base: number(), Limit: number(), Newest: number()}
		ack.Bitmap = bytes.Repeat([]byte{byte(rng.Uint32())}, rng.IntN(129))
		return ack.Append(nil)
	case 3:
		code := wire.Code(rng.IntN(12))
		return wire.Stop{Transfer: id, ByReceiver: rng.IntN(2) == 0, Code: code}.Append(nil)
	case 4:
		return wire.ProbeAck{ID: number(), Room: number()}.Append(nil)
	case 5:
		return wire.Reply{Slot: slot, Seq: seq, Code: wire.Code(rng.IntN(3)), Body: []byte{0}}.Append(nil)
	case 6:
		return wire.Progress{Slot: slot, Seq: seq}.Append(nil)
	}
	return wire.Cancel{Slot: slot, Seq: seq}.Append(nil)
}

// What is found in memory that is not to be sent any more: what a caller has written there since, and what is written
// there under the race detector.
const rewritten, poisoned = 0xaa, 0xdb

// lentTraffic is what two ends say to each other of large calls, while one or both of them make things up.
type lentTraffic struct {
	t     *testing.T
	rng   *rand.Rand
	a, b  *end
	size  int // that passes
	calls []*aCall
	args  [][]byte
	ended int // with what was asked for
}

// Nobody sends what is not his any more, neither the caller his argument nor the provider what was lent to a function,
// whatever the other makes up, where datagrams are lost, and where the path shrinks.
func TestNobodySendsWhatWasGivenBack(t *testing.T) {
	for seed := range uint64(fewer(6)) {
		onEnds(t, bounds{maxPacket: 8972}, func(t *testing.T, a, b *end) {
			t.Logf("seed %d", seed)
			b.offerLent()
			a.widen(8972)
			b.widen(8972)
			x := &lentTraffic{t: t, rng: rand.New(rand.NewPCG(seed, 1)), a: a, b: b, size: 8972}
			for range 300 {
				x.step()
			}
			require.NotZero(t, x.ended)
			a.link.Close(Outcome{Code: wire.Closed})
			b.link.Close(Outcome{Code: wire.Closed})
			require.Zero(t, a.wires.memory.Used())
			require.Zero(t, b.wires.memory.Used())
			require.Zero(t, b.wires.moving.Used())
		})
	}
}

// step begins and ends calls, and lets some time pass.
func (x *lentTraffic) step() {
	if len(x.calls) < 4 && x.rng.IntN(3) == 0 {
		arg := garble([]int{5000, 66_000, 300_000, 1 << 20}[x.rng.IntN(4)])
		left := time.Duration(1+x.rng.IntN(3000)) * time.Millisecond
		x.calls = append(x.calls, x.a.call(left, []string{"echo", "middle"}[x.rng.IntN(2)], arg))
		x.args = append(x.args, arg)
	}
	if x.rng.IntN(60) == 0 {
		x.size = []int{1250, 1450, 8972}[x.rng.IntN(3)]
	}
	toB, toA := x.pass(x.a), x.pass(x.b)
	x.b.hear(toB...)
	x.a.hear(toA...)
	if x.rng.IntN(3) == 0 {
		x.a.step(time.Duration(x.rng.IntN(20)) * time.Millisecond)
		x.b.step(0)
	}
	for i := len(x.calls) - 1; i >= 0; i-- {
		x.end(i)
	}
}

// pass returns what comes of the datagrams that an end sends, and looks into them.
func (x *lentTraffic) pass(e *end) (passed [][]byte) {
	for _, d := range within(x.size, e.tape.take()) {
		for _, c := range []byte{rewritten, poisoned} {
			require.False(x.t, bytes.Contains(d, bytes.Repeat([]byte{c}, 40)), "%#x was given back", c)
		}
		if x.rng.IntN(50) > 0 {
			passed = append(passed, d)
		}
	}
	if x.rng.IntN(30) == 0 {
		passed = append(passed, e.utter(madeUp(x.rng), madeUp(x.rng)))
	}
	return passed
}

// end ends a call if it is over, or is given up, and its caller uses the argument for something else.
func (x *lentTraffic) end(i int) {
	switch c := x.calls[i]; {
	case c.over():
		if c.Code == 0 {
			x.ended++
		}
		x.a.free(c)
	case x.rng.IntN(100) == 0 && x.a.link.Abandon(c.slot, c.seq):
		x.a.wires.FreeCall(c.Call)
	default:
		return
	}
	copy(x.args[i], bytes.Repeat([]byte{rewritten}, len(x.args[i])))
	x.calls = append(x.calls[:i], x.calls[i+1:]...)
	x.args = append(x.args[:i], x.args[i+1:]...)
}
