package link

import (
	"slices"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// within is what passes of datagrams on a path of that MTU.
func within(mtu int, datagrams [][]byte) [][]byte {
	return slices.DeleteFunc(datagrams, func(d []byte) bool { return len(d) > mtu })
}

// runWithin lets time pass until a call is over, on paths of these MTUs, and returns how long that took.
func runWithin(t *testing.T, a, b *end, there, back int, call *aCall) time.Duration {
	t.Helper()
	start := time.Now()
	for !call.over() {
		require.Less(t, time.Since(start), 2*time.Second, "the call is not answered")
		a.step(time.Millisecond)
		b.step(0)
		for toB, toA := a.tape.take(), b.tape.take(); len(toA)+len(toB) > 0; toB, toA = a.tape.take(), b.tape.take() {
			b.hear(within(there, toB)...)
			a.hear(within(back, toA)...)
		}
	}
	return time.Since(start)
}

// widen makes a side believe that datagrams of that size pass, and measure the round trip.
func (s *end) widen(size int) {
	s.link.mu.Lock()
	defer s.link.mu.Unlock()
	x := s.link.talk(time.Now())
	x.path.size = size
	x.resize(time.Now())
	x.rtt.sample(time.Now(), time.Microsecond)
}

// sizesOf are the sizes of datagrams, the largest last.
func sizesOf(datagrams [][]byte) (sizes []int) {
	for _, d := range datagrams {
		sizes = append(sizes, len(d))
	}
	slices.Sort(sizes)
	return sizes
}

// largestOf is the size of the largest of some datagrams.
func largestOf(datagrams [][]byte) int { return slices.Max(sizesOf(datagrams)) }

// [PATH-2] A Probe is answered with ProbeAck at once.
func TestProbeIsAnswered(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		b.hear(a.utter(wire.ProbeFor(7, 8972).Append(nil)))
		sent := b.tape.take()
		require.Len(t, sent, 1)
		require.Equal(t, wire.ProbeAck{ID: 7}.Append(nil), sent[0][wire.HeaderSize:])

		whole := a.utter(wire.ProbeFor(8, 8972).Append(nil))
		b.hear(whole[:len(whole)-1])
		require.Empty(t, b.tape.take(), "its end was cut off")
	})
}

// [PATH-1] The packet size is 1,200 bytes at first.
// [PATH-4] Together with each Probe goes another, whose id is 0, in a datagram of at most 1,200 bytes.
func TestLargeCallMakesTheLinkProbe(t *testing.T) {
	onEnds(t, bounds{maxPacket: 1400}, func(t *testing.T, a, b *end) {
		b.offer("size", func(b []byte) int { return len(b) })
		call := a.call(time.Minute, "size", garble(10<<10))
		first := a.tape.take()
		require.Equal(t, 1200, largestOf(first))
		a.step(0)
		probes := a.tape.take()
		require.Len(t, probes, 2)
		require.Equal(t, wire.ProbeFor(1, 1400).Append(nil), probes[0][wire.HeaderSize:])
		require.Len(t, probes[0], 1400)
		require.Equal(t, wire.Probe{}.Append(nil), probes[1][wire.HeaderSize:])
		b.hear(append(first, probes...)...)
		deliver(a, b)
		call.require(t, 0, wire.ExecutedYes)
		require.Equal(t, 1400, a.link.exchange.path.size)

		a.call(time.Minute, "size", garble(10<<10))
		require.Equal(t, 1400, largestOf(a.tape.take()))
		require.Equal(t, 1200, b.link.exchange.path.size, "each side looks after its own way")
	})
}

// [PATH-3] A search begins when 8 KiB came that did not fit their datagrams
func TestManySmallMessagesFillADatagramToo(t *testing.T) {
	onEnds(t, bounds{maxPacket: 1400}, func(t *testing.T, a, b *end) {
		b.offer("f", func([]byte) {})
		for range 1000 {
			call := a.call(time.Minute, "f", garble(1000))
			deliver(a, b)
			call.require(t, 0, wire.ExecutedYes)
			a.free(call)
		}
		a.step(time.Hour)
		require.Equal(t, 1200, a.link.exchange.path.size, "no datagram was full")
		a.link.inHand |= byReader
		for range 20 {
			a.call(time.Minute, "f", garble(500))
		}
		a.link.Unhold()
		a.step(stepPause)
		deliver(a, b)
		require.Equal(t, 1400, a.link.exchange.path.size)
	})
}

// [PATH-6] Only Requests, Replies and Fragments travel in datagrams above 1,200 bytes. [...] a Request that is repeated
// does so only when it is too long for a smaller one.
func TestWhatIsRepeatedTravelsInSmallDatagrams(t *testing.T) {
	onEnds(t, bounds{maxPacket: 8972}, func(t *testing.T, a, b *end) {
		a.widen(8972)
		a.link.inHand |= byReader
		for range 20 {
			a.call(time.Minute, "f", garble(300))
		}
		a.call(time.Minute, "f", garble(1300))
		a.link.Unhold()
		require.Greater(t, largestOf(a.tape.take()), 7000)
		a.step(minRTO)
		sizes := sizesOf(a.tape.take())
		require.Len(t, sizes, 10)
		require.LessOrEqual(t, sizes[7], 1200)
		require.Equal(t, 8972, sizes[9], "besides the long one there is the Probe")

		for i := range 300 {
			say(a.link.exchange, wire.Progress{Slot: uint16(i)})
		}
		a.link.Unhold()
		require.LessOrEqual(t, largestOf(a.tape.take()), 1200)
	})
}

// [PATH-6] When the packet size has fallen, a Request that does not fit it any more is repeated as a transfer
// [CALL-2] A Request with the slot's last seq is a duplicate and MUST NOT run again
func TestRequestLargerThanThePathHasBecome(t *testing.T) {
	for name, arrives := range map[string]bool{"lost": false, "arrived, but not its reply": true} {
		t.Run(name, func(t *testing.T) {
			onEnds(t, bounds{maxPacket: 8972}, func(t *testing.T, a, b *end) {
				runs := 0
				b.offer("size", func(b []byte) int { runs++; return len(b) })
				a.widen(8972)
				call := a.call(10*time.Second, "size", garble(5000))
				if first := a.tape.take(); arrives {
					b.hear(first...)
					require.Equal(t, []string{"Reply 0/1 code 0 executed 2"}, wordsOf(t, b.tape.take()...))
				}
				took := runWithin(t, a, b, 1250, 1250, call)
				call.require(t, 0, wire.ExecutedYes)
				require.Equal(t, 1, runs)
				require.Less(t, took, 200*time.Millisecond)
				require.Zero(t, b.wires.memory.Used())
				t.Log("answered after", took)
			})
		})
	}
}

// [FRAG-9] A call whose request is refused or dropped fails with executed no, but maybe where the request went before,
// as a datagram or as a transfer that was begun anew
func TestARefusedRepetitionMayHaveRun(t *testing.T) {
	for _, code := range []wire.Code{wire.TooLarge, wire.Unreachable} {
		onEnds(t, bounds{maxPacket: 8972}, func(t *testing.T, a, b *end) {
			a.widen(8972)
			call := a.call(10*time.Second, "size", garble(5000))
			a.tape.take() // it may have arrived
			for !a.link.exchange.sending.IsBusy() {
				a.step(time.Millisecond)
				a.hear(b.utter(wire.ProbeAck{}.Append(nil))) // the small ones pass
			}
			a.hear(b.utter(wire.Stop{Transfer: 1, ByReceiver: true, Code: code}.Append(nil)))
			call.require(t, code, wire.ExecutedMaybe)
		})
		onEnds(t, bounds{maxPacket: 8972}, func(t *testing.T, a, b *end) {
			a.widen(8972)
			call := a.call(10*time.Second, "size", garble(500_000))
			a.widen(1200) // the transfer is begun anew
			a.hear(b.utter(wire.Stop{Transfer: 2, ByReceiver: true, Code: code}.Append(nil)))
			call.require(t, code, wire.ExecutedMaybe)
		})
	}
}

// [PATH-6] A Reply that is repeated does not, if need be as a transfer
func TestReplyLargerThanThePathHasBecome(t *testing.T) {
	onEnds(t, bounds{maxPacket: 8972}, func(t *testing.T, a, b *end) {
		runs, want := 0, garble(5000)
		b.offer("get", func() []byte { runs++; return want })
		b.widen(8972)
		call := a.call(10*time.Second, "get")
		took := runWithin(t, a, b, 8972, 1250, call)
		call.require(t, 0, wire.ExecutedYes)
		require.Equal(t, want, call.Body[len(call.Body)-len(want):])
		require.Equal(t, 1, runs)
		require.Less(t, took, 200*time.Millisecond)
		t.Log("answered after", took)
	})
}

// [PATH-4] as is one that the sender's own system refuses to send as too long.
// [PATH-5] so it is when the sender's own system refuses to send a datagram above 1,200 bytes as too long.
func TestWhatOurOwnSystemRefusesIsNotWaitedFor(t *testing.T) {
	onEnds(t, bounds{maxPacket: 21829}, func(t *testing.T, a, b *end) {
		b.offer("size", func(b []byte) int { return len(b) })
		a.tape.most = 1472
		call := a.call(time.Minute, "size", garble(100<<10))
		start := time.Now()
		runWithin(t, a, b, 21829, 21829, call)
		call.require(t, 0, wire.ExecutedYes)
		require.Equal(t, 1472, a.link.exchange.path.size)
		require.Zero(t, a.link.exchange.path.probed, "all sizes were tried after %v", time.Since(start))

		for _, size := range []int{1450, 5000, 100 << 10} {
			a.tape.most = 0
			a.widen(21829)
			a.tape.most = 1400 // the device has another MTU now
			call = a.call(time.Minute, "size", garble(size))
			took := runWithin(t, a, b, 21829, 21829, call)
			call.require(t, 0, wire.ExecutedYes)
			require.Less(t, took, 10*time.Millisecond, "%d bytes: nothing was waited for", size)
			require.LessOrEqual(t, a.link.exchange.path.size, 1400)
		}
	})
}

// [PATH-7] A Request or Reply that does not fit a datagram of 8,972 bytes goes as a transfer, whatever the packet size
func TestALongMessageIsATransferWhateverThePacketSize(t *testing.T) {
	onEnds(t, bounds{maxPacket: 21829}, func(t *testing.T, a, b *end) {
		b.offer("get", func(size int, _ []byte) []byte { return garble(size) })
		a.widen(21829)
		b.widen(21829)
		for size, want := range map[int]string{8900: "Request ", 8972: "Fragment ", 20000: "Fragment "} {
			a.call(time.Minute, "get", 0, garble(size))
			require.Contains(t, wordsOf(t, a.tape.sent...)[0], want, "%d bytes", size)
			deliver(a, b)
		}
		for size, want := range map[int]string{8900: "Reply ", 8972: "Fragment ", 20000: "Fragment "} {
			a.call(time.Minute, "get", size, []byte{})
			b.hear(a.tape.take()...)
			require.Contains(t, wordsOf(t, b.tape.sent...)[0], want, "%d bytes", size)
			deliver(a, b)
		}
	})
}

// A repeated reply for which there is no room as a transfer is not sent: its caller asks again.
func TestRepeatedReplyWaitsForRoom(t *testing.T) {
	onEnds(t, bounds{maxPacket: 8972}, func(t *testing.T, a, b *end) {
		b.offer("f", func() []byte { return garble(5000) })
		b.widen(8972)
		call := a.call(time.Minute, "f")
		b.hear(a.tape.take()...)
		require.Equal(t, 5000, largestOf(b.tape.take())/100*100, "it is lost")
		taken := takeAll(b.wires.moving)
		again := requestOf(call.slot, call.seq)
		b.hear(a.utter(again))
		require.Empty(t, b.tape.take())
		giveAll(taken)
		b.hear(a.utter(again))
		deliver(a, b)
		call.require(t, 0, wire.ExecutedYes)
	})
}

// [PATH-7] A Reply that does not fit a datagram of 1,200 bytes goes as a transfer when its caller knows, by Progress or
// because the Request was a transfer, that the Request came: it would ask again only a second later.
func TestLargeReplyToWhoWouldNotAskAgain(t *testing.T) {
	for name, test := range map[string]struct {
		args  int
		delay time.Duration
		size  int
		said  string
	}{
		"a request in a datagram":       {10, 0, 5000, "Reply 0/1 code 0 executed 2"},
		"a request that was a transfer": {10_000, 0, 5000, "Fragment 1/0"},
		"a slow call":                   {10, 6 * time.Millisecond, 5000, "Fragment 1/0"},
		"a small reply to a slow call":  {10, 6 * time.Millisecond, 1000, "Reply 0/1 code 0 executed 2"},
	} {
		t.Run(name, func(t *testing.T) {
			onEnds(t, bounds{maxPacket: 8972}, func(t *testing.T, a, b *end) {
				b.offer("get", func([]byte) []byte { time.Sleep(test.delay); return garble(test.size) })
				b.widen(8972)
				call := a.call(time.Minute, "get", garble(test.args))
				b.hear(a.tape.take()...)
				b.step(ackDelay)
				b.step(time.Millisecond)
				require.Contains(t, wordsOf(t, b.tape.sent...), test.said)
				deliver(a, b)
				call.require(t, 0, wire.ExecutedYes)
			})
		})
	}
}

// [PATH-6] and a transfer with larger fragments is stopped and begun anew under another number.
func TestTransfersAreCutAnewWhenThePathShrinks(t *testing.T) {
	onEnds(t, bounds{maxPacket: 8972}, func(t *testing.T, a, b *end) {
		runs, want := 0, garble(500_000)
		b.offer("echo", func(b []byte) []byte { runs++; return b })
		a.widen(8972)
		b.widen(8972)
		call := a.call(10*time.Second, "echo", want)
		b.hear(a.tape.take()...)
		require.NotZero(t, b.link.exchange.receiving.Held.Used(), "half of it arrives")
		b.tape.take()
		took := runWithin(t, a, b, 1250, 1250, call)
		call.require(t, 0, wire.ExecutedYes)
		require.Equal(t, want, call.Body[len(call.Body)-len(want):])
		require.Equal(t, 1, runs)
		require.Less(t, took, 300*time.Millisecond)
		a.free(call)
		require.Zero(t, a.wires.memory.Used())
		require.Zero(t, b.wires.memory.Used(), "the half was dropped")
		require.EqualValues(t, 3, a.nextTransfer(), "it was begun twice")
		require.EqualValues(t, 3, b.nextTransfer(), "and the reply")
		t.Log("answered after", took)
	})
}

// A transfer cut for the size of the time goes on when a larger one is found: only the next one uses it.
func TestTransfersGoOnWhenThePathWidens(t *testing.T) {
	onEnds(t, bounds{maxPacket: 8972}, func(t *testing.T, a, b *end) {
		b.offer("size", func(b []byte) int { return len(b) })
		call := a.call(time.Minute, "size", garble(1<<20))
		took := runWithin(t, a, b, 8972, 8972, call)
		call.require(t, 0, wire.ExecutedYes)
		require.Equal(t, 8972, a.link.exchange.path.size)
		require.EqualValues(t, 2, a.nextTransfer(), "it was begun once, and took %v", took)
	})
}

// A peer that is found offline is not probed any more.
func TestOfflinePeerIsNotProbed(t *testing.T) {
	onEnds(t, bounds{maxPacket: 8972}, func(t *testing.T, a, b *end) {
		a.call(10*time.Second, "f", garble(10<<10))
		a.step(time.Millisecond)
		require.False(t, a.link.exchange.path.nextTimeout().IsZero())
		a.link.Fail(Outcome{Code: wire.Unreachable})
		a.tape.take()
		a.step(time.Hour)
		require.Empty(t, a.tape.take())
	})
}

// [FRAG-16] A receiver says in a ProbeAck how many bytes of Fragments it has room for at once [...]. A sender has no
// more than that in flight on the link, but always two fragments.
func TestASenderKeepsToTheRoomThatAReceiverHas(t *testing.T) {
	for room, most := range map[int]int{0: 1 << 20, 100_000: 100_000, 1: 2 * 21829} {
		onEnds(t, bounds{maxPacket: 21829}, func(t *testing.T, a, b *end) {
			b.offer("size", func(b []byte) int { return len(b) })
			b.wires.Room = room
			a.widen(21829)
			atOnce := 0
			for k := range 3 {
				call := a.call(time.Minute, "size", garble(fewer(8<<20)))
				for !call.over() {
					a.step(0)
					sent := a.tape.take()
					if k > 0 { // the first has learnt it
						atOnce = max(atOnce, bytesIn(sent))
					}
					b.hear(sent...)
					a.hear(b.tape.take()...)
				}
				call.require(t, 0, wire.ExecutedYes)
				a.free(call)
			}
			require.LessOrEqual(t, atOnce, most, "room %d", room)
			require.Greater(t, atOnce, min(most/2, 128<<10), "room %d", room)

			b.exhaust()
			b.tape.take()
			b.hear(a.utter(wire.ProbeFor(9, 1300).Append(nil)))
			require.Equal(t, wire.ProbeAck{ID: 9}.Append(nil), b.tape.take()[0][wire.HeaderSize:],
				"who may have gone is told no more than it said")
		})
	}
}

// bytesIn is how many bytes the large ones of some datagrams have.
func bytesIn(datagrams [][]byte) (bytes int) {
	for _, d := range datagrams {
		if len(d) > BasePacket {
			bytes += len(d)
		}
	}
	return bytes
}
