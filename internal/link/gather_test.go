package link

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"broach/internal/buffer"
	"broach/internal/codec"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// onGathering is onEnds with transports that gather, and paths that take datagrams which are worth it.
func onGathering(t *testing.T, test func(t *testing.T, a, b *end)) {
	onEnds(t, bounds{maxPacket: 8972}, func(t *testing.T, a, b *end) {
		for _, e := range []*end{a, b} {
			e.wires.Gathers = true
			e.widen(8972)
		}
		b.offer("copy", func(p []byte) []byte { return p })
		b.offerLent()
		test(t, a, b)
	})
}

// lies says whether a piece of memory is a part of another.
func lies(piece, in []byte) bool {
	from, at := uintptr(unsafe.Pointer(unsafe.SliceData(in))), uintptr(unsafe.Pointer(unsafe.SliceData(piece)))
	return from <= at && at+uintptr(len(piece)) <= from+uintptr(cap(in))
}

func TestLargeFragmentsAreSentFromWhereTheyAre(t *testing.T) {
	onGathering(t, func(t *testing.T, a, b *end) {
		for _, name := range []string{"copy", "echo"} {
			sent := garble(1 << 20)
			a.tape.tails, b.tape.tails = nil, nil
			call := a.call(time.Minute, name, sent)
			deliver(a, b)
			call.require(t, 0, wire.ExecutedYes)
			got, err := codec.DecodeAs[[]byte](call.Body)
			require.NoError(t, err)
			require.True(t, bytes.Equal(sent, got))
			for _, e := range []*end{a, b} {
				require.Greater(t, len(e.tape.tails), 1<<20/8972-2, "all but the first and the last")
				require.Empty(t, e.link.exchange.served.lent)
			}
			for _, tail := range a.tape.tails {
				require.True(t, lies(tail, sent))
			}
			call.AwaitSent()
			a.free(call)
			requireNothingHeld(t, a, b)
		}
	})
}

// What is short goes with its header: to look it up elsewhere would cost more than to copy it.
func TestSmallFragmentsAreCopied(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		a.wires.Gathers, b.wires.Gathers = true, true
		b.offerLent()
		call := a.call(time.Minute, "echo", garble(1<<20))
		deliver(a, b)
		call.require(t, 0, wire.ExecutedYes)
		require.Empty(t, a.tape.tails)
		require.Empty(t, b.tape.tails)
	})
}

// Whoever gives a call up, or whose call ends, may change the argument as soon as nothing of it is being sent.
func TestACallerWaitsForWhatIsSentOfItsArgument(t *testing.T) {
	for name, over := range map[string]func(a *end, c *aCall){
		"given up": func(a *end, c *aCall) { a.link.Abandon(c.slot, c.seq) },
		"failed":   func(a *end, c *aCall) { a.link.Fail(Outcome{Code: wire.Unreachable}) },
		"closed":   func(a *end, c *aCall) { a.link.Close(Outcome{Code: wire.Closed}) },
	} {
		t.Run(name, func(t *testing.T) {
			onGathering(t, func(t *testing.T, a, _ *end) {
				goOn, began := make(chan struct{}), make(chan struct{})
				a.tape.onSend = func() {
					if a.tape.onSend = nil; len(a.tape.tails) == 0 {
						t.Error("nothing of the argument is sent from where it is")
					}
					close(began)
					<-goOn
				}
				c := &aCall{Call: a.wires.NewCall()}
				go func() {
					now := time.Now()
					frame := frameOf("copy", []any{garble(1 << 20)})
					c.slot, c.seq, _ = a.link.Send(now, now.Add(time.Minute), frame, c.Call)
				}()
				<-began
				a.link.mu.Lock() // the first call of the link
				for slot, s := range a.link.exchange.calls.all() {
					c.slot, c.seq = slot, s.seq
				}
				a.link.mu.Unlock()
				over(a, c)
				isFree := false
				go func() {
					c.AwaitSent()
					isFree = true
				}()
				synctest.Wait()
				require.False(t, isFree, "it is still being sent")
				close(goOn)
				synctest.Wait()
				require.True(t, isFree)
			})
		})
	}
}

// The memory of a reply that is given up while a part of it is being sent is not used again, by nobody.
func TestAReplyThatIsBeingSentKeepsItsMemory(t *testing.T) {
	for _, name := range []string{"copy", "echo"} {
		onGathering(t, func(t *testing.T, a, b *end) {
			call := a.call(time.Minute, name, garble(1<<20))
			began, goOn := false, make(chan struct{})
			b.tape.onSend = func() {
				if began || len(b.tape.tails) == 0 {
					return
				}
				began = true
				<-goOn
			}
			for !began {
				b.hear(a.tape.take()...)
				a.hear(b.tape.take()...)
			}
			tail := b.tape.tails[0]
			before := bytes.Clone(tail)
			require.True(t, a.link.Abandon(call.slot, call.seq))
			b.hear(a.tape.take()...) // the Cancel
			require.Zero(t, b.wires.moving.Used(), "the reply is given up")
			for range 100 {
				require.False(t, lies(tail, buffer.Bytes(1<<20+100)), "it is used again")
			}
			require.True(t, bytes.Equal(before, tail), "it was overwritten")
			close(goOn)
			synctest.Wait()
			deliver(a, b)
			require.Empty(t, b.link.exchange.served.lent)
			requireNothingHeld(t, a, b)
		})
	}
}
