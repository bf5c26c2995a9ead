package link

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"broach/internal/buffer"
	"broach/internal/codec"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

func TestLargeRequestAndReply(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		b.offer("echo", func(x []byte) []byte { return x })
		sent := garble(1 << 20)
		call := a.call(time.Minute, "echo", sent)
		deliver(a, b)
		call.require(t, 0, wire.ExecutedYes)
		got, err := codec.DecodeAs[[]byte](call.Body)
		require.NoError(t, err)
		require.Equal(t, sent, got)
		a.free(call)
		require.Equal(t, sent, got, "a result is not part of memory that is used again")
	})
}

// Thousands of large messages, many times the budget of the link and of the node.
func TestLargeMessagesGiveTheirBudgetBack(t *testing.T) {
	onEnds(t, bounds{maxMessage: 64 << 10}, func(t *testing.T, a, b *end) {
		b.offer("echo", func(x []byte) []byte { return x })
		b.offer("fails", func(x []byte) error { return fmt.Errorf("no") })
		sent := garble(20 << 10)
		for i := range 1000 {
			call := a.call(time.Minute, []string{"echo", "fails", "unknown"}[i%3], sent)
			deliver(a, b)
			require.True(t, call.over(), "call %d", i)
			a.free(call)
		}
		for _, s := range []*end{a, b} {
			require.Zero(t, s.wires.memory.Used())
			require.Zero(t, s.link.exchange.receiving.Held.Used())
			require.Zero(t, s.wires.moving.Used())
		}
	})
}

func TestReplyNobodyWaitsForIsGivenBack(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		b.offer("big", func() []byte { return garble(100 << 10) })
		call := a.call(time.Minute, "big")
		b.hear(a.tape.take()...)
		require.True(t, a.link.Abandon(call.slot, call.seq))
		a.tape.take() // the Cancel is lost
		deliver(a, b)
		require.Zero(t, a.wires.memory.Used())
		require.Equal(t, servedDropped, b.link.exchange.served.slot(0).state)
	})
}

func TestMessageOfNoCallInATransferIsCounted(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		for id, kind := range []wire.Kind{wire.KindPoll, wire.KindRequest, wire.KindReply} {
			body := make([]byte, 400)
			body[0] = byte(kind)
			if kind == wire.KindReply {
				body[11] = 77 // executed
			}
			b.hear(a.utter(wire.Fragment{Transfer: uint32(id + 1), Total: 400, Size: 1000, Data: body}.Append(nil)))
		}
		require.EqualValues(t, 3, b.malformed)
		require.Zero(t, b.wires.memory.Used())
	})
}

// [FRAG-3] A total above the receiver's message limit is refused with Stop, TooLarge: the call fails with executed no.
func TestTooLargeMessagesAreRefused(t *testing.T) {
	t.Run("a request", func(t *testing.T) {
		onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
			b.link.carrier.MaxMessage = 50 << 10
			call := a.call(time.Minute, "f", garble(100<<10))
			deliver(a, b)
			call.require(t, wire.TooLarge, wire.ExecutedNo)
		})
	})
	t.Run("a reply, which has been executed", func(t *testing.T) {
		onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
			b.offer("big", func() []byte { return garble(100 << 10) })
			a.link.carrier.MaxMessage = 50 << 10
			call := a.call(time.Minute, "big")
			deliver(a, b)
			call.require(t, wire.TooLarge, wire.ExecutedYes)
			require.Zero(t, b.wires.moving.Used())
		})
	})
}

func TestRefusalWithoutACodeIsNoSuccess(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		call := a.call(time.Minute, "f", garble(100<<10))
		a.hear(b.utter(wire.Stop{Transfer: 1, ByReceiver: true}.Append(nil)))
		call.require(t, wire.Unreachable, wire.ExecutedNo)
	})
}

func TestAbandonedTransfersStopOnBothSides(t *testing.T) {
	t.Run("of a request", func(t *testing.T) {
		onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
			call := a.call(time.Minute, "f", garble(1<<20))
			b.hear(a.tape.take()...)
			require.NotZero(t, b.link.exchange.receiving.Held.Used())
			a.link.Abandon(call.slot, call.seq)
			require.False(t, a.link.exchange.sending.IsBusy())
			deliver(a, b)
			require.Zero(t, b.link.exchange.receiving.Held.Used())
			require.Zero(t, b.wires.memory.Used())
		})
	})
	t.Run("of a reply", func(t *testing.T) {
		onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
			b.offer("big", func() []byte { return garble(1 << 20) })
			call := a.call(time.Minute, "big")
			b.hear(a.tape.take()...)
			a.hear(b.tape.take()...)
			require.NotZero(t, a.link.exchange.receiving.Held.Used())
			a.link.Abandon(call.slot, call.seq)
			deliver(a, b)
			require.False(t, b.link.exchange.sending.IsBusy())
			require.Zero(t, b.wires.moving.Used())
			require.Zero(t, a.link.exchange.receiving.Held.Used())
			require.Zero(t, a.wires.memory.Used())
		})
	})
	t.Run("of a reply whose slot is used again", func(t *testing.T) {
		onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
			b.offer("f", func() {})
			b.offer("big", func() []byte { return garble(1 << 20) })
			a.call(time.Minute, "big")
			b.hear(a.tape.take()...)
			b.hear(a.utter(requestOf(0, 2)))
			require.False(t, b.link.exchange.sending.IsBusy())
			require.Contains(t, wordsOf(t, b.tape.take()...), "Stop 1 by receiver false code 0")
		})
	})
	t.Run("of a reply to a peer that fell silent", func(t *testing.T) {
		onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
			b.offer("big", func() []byte { return garble(1 << 20) })
			a.call(time.Minute, "big")
			b.hear(a.tape.take()...)
			for range 110 {
				b.step(100 * time.Millisecond)
			}
			require.False(t, b.link.exchange.sending.IsBusy())
			require.Zero(t, b.wires.moving.Used())
		})
	})
}

func TestPollForAReplyUnderWayIsAnsweredProgress(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		b.offer("big", func() []byte { return garble(1 << 20) })
		call := a.call(time.Minute, "big")
		b.hear(a.tape.take()...)
		b.tape.take()
		b.hear(a.utter(wire.Poll{Slot: call.slot, Seq: call.seq}.Append(nil)))
		require.Contains(t, wordsOf(t, b.tape.take()...), "Progress 0/1")
	})
}

func TestLargeRepliesThatNobodyTakesAreBounded(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		b.offer("f", func() []byte { return garble(60 << 10) })
		b.wires.moving.Size = 1 << 20
		var refused int
		for slot := range uint16(100) {
			b.hear(a.utter(requestOf(slot, 1)))
			if slices.Contains(
				wordsOf(t, b.tape.take()...), fmt.Sprintf("Reply %d/1 code %d executed %d", slot, wire.Overloaded,
					wire.ExecutedYes),
			) {
				refused++
			}
		}
		require.Equal(t, 100-8, refused, "of 64 KiB with what is around them, half of the memory")
		require.EqualValues(t, refused, b.wires.Unsent.Load())
		require.LessOrEqual(t, b.wires.moving.Used(), b.wires.moving.Size/2)
		b.link.Close(Outcome{Code: wire.Unreachable})
		require.Zero(t, b.wires.moving.Used())
		require.Zero(t, b.wires.stored.Used())
	})
}

// [FRAG-14] A Reply under way for 10 s, in which no FragmentAck came for any transfer of its sender on the link, is
// given up with Stop.
// [CALL-8] a Request or Poll for a reply no longer kept is answered Unreachable, executed as the reply said, and
// MUST NOT run again.
func TestReplyThatIsNotAcknowledgedIsGivenUp(t *testing.T) {
	for name, answer := range map[string]interface{ Append([]byte) []byte }{
		"a peer that lives":     wire.Probe{ID: 1},
		"one that has no room":  wire.FragmentAck{Transfer: 1},
		"one that asks for it":  wire.Poll{Slot: 0, Seq: 1},
		"one that knows others": wire.FragmentAck{Transfer: 2, Base: 1, Limit: 100},
	} {
		t.Run(name, func(t *testing.T) {
			onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
				runs := 0
				b.offer("f", func() []byte { runs++; return garble(1 << 20) })
				b.hear(a.utter(requestOf(0, 1)))
				b.tape.take()
				for range 9 {
					b.step(time.Second)
					b.hear(a.utter(answer.Append(nil)))
				}
				b.step(time.Second - 1)
				require.Equal(t, servedMoving, b.link.exchange.served.slot(0).state)
				b.step(1)
				if _, acknowledges := answer.(wire.FragmentAck); acknowledges && name != "one that knows others" {
					require.Equal(t, servedMoving, b.link.exchange.served.slot(0).state, "it takes its time")
					b.step(9 * time.Second)
				}
				require.Contains(t, wordsOf(t, b.tape.take()...), "Stop 1 by receiver false code 0")
				require.Zero(t, b.wires.moving.Used())
				require.EqualValues(t, 1, b.wires.Unsent.Load())
				for _, m := range [][]byte{requestOf(0, 1), wire.Poll{Slot: 0, Seq: 1}.Append(nil)} {
					b.hear(a.utter(m))
					require.Equal(t, []string{fmt.Sprintf("Reply 0/1 code %d executed %d", wire.Unreachable,
						wire.ExecutedYes)}, wordsOf(t, b.tape.take()...))
				}
				require.Equal(t, 1, runs)
			})
		})
	}
}

// A reply gets its 10 s whenever the link was last acknowledged, and the next one its own.
func TestRepliesAreGivenUpOneByOne(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		b.offer("f", func() []byte { return garble(100 << 10) })
		b.step(time.Minute)
		for slot := range uint16(3) {
			b.hear(a.utter(requestOf(slot, 1)))
			b.step(time.Second)
		}
		b.step(7*time.Second - 1)
		for left := 3; left > 0; left-- {
			require.EqualValues(t, 3-left, b.wires.Unsent.Load())
			b.step(1)
			require.EqualValues(t, 4-left, b.wires.Unsent.Load())
			b.step(time.Second - 1)
		}
		require.Zero(t, b.wires.moving.Used())
	})
}

func TestClosedLinkGivesItsMemoryBack(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		b.offer("wait", func(ctx context.Context, _ []byte) { <-ctx.Done() })
		a.call(time.Minute, "wait", garble(100<<10))
		deliver(a, b) // a whole request, which a handler holds
		a.call(time.Minute, "wait", garble(100<<10))
		b.hear(a.tape.take()...) // and a part of one
		held := b.link.exchange.receiving.Held.Used()
		require.Greater(t, held, int64(200<<10))
		require.Equal(t, held-b.wires.memory.Size/int64(reassemblyParts*b.wires.Peers), b.wires.memory.Used())
		b.link.Close(Outcome{Code: wire.Unreachable})
		synctest.Wait()
		require.Zero(t, b.wires.memory.Used())
	})
}

// [FRAG-12] The remaining time of a Request that came as a transfer counts from the arrival of its first fragment.
func TestTimeOfATransferCounts(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		var came time.Time
		var left, took time.Duration
		b.offer("left", func(ctx context.Context, _ []byte) {
			at, _ := ctx.Deadline()
			left, took = time.Until(at), time.Since(came)
		})
		call := a.call(6*time.Second, "left", garble(1<<20))
		came = time.Now()
		b.hear(a.tape.take()...)
		time.Sleep(2 * time.Second)
		a.hear(b.tape.take()...)
		runWithin(t, a, b, 1400, 1400, call)
		call.require(t, 0, wire.ExecutedYes)
		require.Greater(t, took, 2*time.Second)
		require.Equal(t, 6*time.Second-took, left)
	})
}

// A call that is answered before it runs holds the memory of the transfer that it came as until it has run, and then
// gives it back, also where its link has been closed meanwhile.
func TestWhatIsAnsweredEarlyGivesItsMemoryBack(t *testing.T) {
	for _, closed := range []bool{false, true} {
		onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
			frame := buffer.New()
			frame.B = wire.Send{Service: []byte("f")}.Append(frame.B)
			frame.B = wire.SetLength(append(frame.B, garble(100<<10)...))
			now, call := time.Now(), a.wires.NewCall()
			_, _, err := a.link.Send(now, now.Add(time.Minute), frame, call)
			require.NoError(t, err)
			deliver(a, b)
			require.Len(t, call.Done, 1, "it is answered")
			require.Len(t, b.early, 1)
			require.GreaterOrEqual(t, b.wires.memory.Used()+b.wires.memory.Size/int64(reassemblyParts*b.wires.Peers),
				int64(100<<10))
			if closed {
				b.link.Close(Outcome{Code: wire.Unreachable})
			}
			b.link.GiveBack(b.early[0])
			require.Zero(t, b.wires.memory.Used())
		})
	}
}
