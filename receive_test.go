package broach

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"broach/internal/buffer"
	"broach/internal/link"
	"broach/internal/pool"
	"broach/internal/udp"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// The loop hears what a datagram says before it hears that its sender is there: a Leave that refuses a link must not
// find it taken.
func TestALeaveIsToldBeforeItsSenderIsHeard(t *testing.T) {
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		a := s.asker(t, 3, keys)
		l := a.Take(s.ask(t, a))
		s.hear(l.Confirm(nil, wire.Leave{}.Append(nil)))
		require.Len(t, s.loop.inbox, 2)
		require.Equal(t, wire.Leave{}, (<-s.loop.inbox).msg)
		require.Nil(t, (<-s.loop.inbox).msg)
	})
}

// [LNK-11] A datagram of a link is taken from any source, and nothing but the Offer of `[MEM-25]` is sent to a source
func TestNothingGoesToASource(t *testing.T) {
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		s.offer(t, "f", func() {})
		a := s.asker(t, 3, keys)
		l := a.Take(s.ask(t, a))
		s.hearFrom(strangerAddr, l.Confirm(nil))
		s.hearFrom(strangerAddr, l.Say(callOfF(0, 1)), l.Say(wire.ProbeFor(1, 1300).Append(nil)))
		out := s.script.takeAddressed()
		require.NotEmpty(t, out)
		for _, d := range out {
			require.Equal(t, a.Addr, d.Addr)
		}
	})
}

// [SEC-1] An output of zeros drops the Offer: neither link nor opening is left.
func TestAnOfferWithAKeyOfLowOrderMakesNoLink(t *testing.T) {
	s := side(t, 2, Config{Keys: [][]byte{keyOf(1)}})
	defer s.serving.pool.Close(time.Hour)
	offer := wire.Offer{Rank: 1, Echo: s.linking.tokens.Open(1), Token: 7, Key: wire.PublicKey{1}}
	s.beginLink(time.Now(), s.linking.wires.Terms(&offer, s.script.addr, addrOf(3)))
	require.Zero(t, s.linking.tokens.Len())
}

// Of the news of links made, as many wait as there is room for: no link is made without the loop being told.
func TestNoLinkIsMadeThatTheLoopIsNotToldOf(t *testing.T) {
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		if keys != nil {
			return
		}
		for i := range arrivalsMax + 50 {
			a := s.asker(t, 3+i, nil)
			s.hear(a.Take(s.askAnyway(a)).Confirm(nil))
		}
		require.Len(t, s.loop.arrivals, arrivalsMax)
		require.Len(t, s.linking.tokens.All(), arrivalsMax)
		require.Equal(t, arrivalsMax, s.made())
	})
}

// [MEM-31] dropped membership messages because too many of all peers together wait: one peer that sends too many
// strains nobody.
func TestOneThatTellsTooMuchStrainsNobody(t *testing.T) {
	s := side(t, 1, Config{})
	s.reader.inbox = make(chan *inbound, 2*inboxEach)
	one := &conn{}
	told := func() (overflow, strains uint64) { return s.Stats().InboxOverflow, s.stats.inboxFull.Load() }
	for range 2 * inboxEach {
		s.reader.tell(one, &inbound{})
	}
	overflow, strains := told()
	require.EqualValues(t, []uint64{inboxEach, 0}, []uint64{overflow, strains}, "it has used up its own share")
	for range 2 {
		for range inboxEach {
			s.reader.tell(&conn{}, &inbound{}) // each of another
		}
	}
	overflow, strains = told()
	require.EqualValues(t, []uint64{2 * inboxEach, inboxEach}, []uint64{overflow, strains},
		"there is no room for more of all together")
}

// What the reader has to say is sent before the loop is told of anything, so that what the loop answers never goes in
// the same datagram by chance: "On one processor, runs with one seed are the same to the nanosecond."
func TestTheLoopIsToldWhenAllIsSent(t *testing.T) {
	onLinkPair(t, Config{}, func(t *testing.T, a, b *linkSide) {
		c := a.call(t, time.Second, "unheard of")
		sends := 0
		b.script.sending = func() {
			sends++
			require.Empty(t, b.loop.inbox)
			require.Empty(t, b.loop.arrivals)
		}
		for len(b.loop.inbox) > 0 {
			<-b.loop.inbox
		}
		time.Sleep(noteEvery) // then it is news that the peer was heard
		b.hear(a.script.take()...)
		require.Equal(t, 1, sends)
		require.Len(t, b.loop.inbox, 1)
		a.hear(b.script.take()...)
		c.require(t, NotFound, No)
	})
}

// Only calls of a peer that is believed make the reader poll: what a stranger sends must not cost processor time.
func TestOnlyCallsMakeTheReaderPoll(t *testing.T) {
	onLinkPair(t, Config{}, func(t *testing.T, a, b *linkSide) {
		b.offer(t, "add", func(x, y int) int { return x + y })
		b.hear([]byte("garbage"))
		require.False(t, b.reader.soon)
		c := a.call(t, time.Second, "add", 1, 2)
		sent := a.script.take()
		b.hear(sent...)
		require.True(t, b.reader.soon)
		a.hear(b.script.take()...)
		require.True(t, a.reader.soon)
		c.require(t, 0, Yes)

		b.reader.soon = false
		b.hear(sent...)
		require.False(t, b.reader.soon, "replayed")
	})
}

// [MSG-1] A message of unknown kind MUST be skipped and counted.
func TestUnknownKindsAreCounted(t *testing.T) {
	onLinkPair(t, Config{}, func(t *testing.T, a, b *linkSide) {
		for i, kind := range []byte{0, 9, 31, 46, 255} {
			b.hear(forge(a, b, []byte{kind, 0, 0}))
			require.EqualValues(t, i+1, b.stats.unknownKind.Load(), "kind %d", kind)
		}
	})
}

// heldSocket is a transport whose reader waits until the test is over.
type heldSocket struct {
	*script
	readingc chan struct{} // closed when somebody reads
	endc     chan struct{} // closed to end that
}

func (s heldSocket) Receive([]udp.Datagram, bool) (int, error) {
	close(s.readingc)
	<-s.endc
	return 0, net.ErrClosed
}

// A heldJob has expired. Who asks that, under the lock of the pool, waits.
type heldJob struct {
	askedc chan struct{} // closed when it is asked; nil: it does not wait
	goOnc  chan struct{} // closed to end that
}

func (j *heldJob) Expired(time.Time) bool {
	if j.askedc != nil {
		close(j.askedc)
		<-j.goOnc
	}
	return true
}

func (*heldJob) Run(time.Time) time.Time { return time.Time{} }
func (*heldJob) Shed()                   {}
func (*heldJob) Failed(any, []byte)      {}
func (*heldJob) Reject()                 {}

// A reader that is stopped before it finds that there is no worker in whose place the call could run has lost the
// reader by then. It gives the call to the workers, and wakes them itself: the new reader knows nothing of it.
func TestACallWaitsForAWorkerThoughTheReaderIsTakenOver(t *testing.T) {
	s := side(t, 1, Config{Pool: Pool{Core: 1, Max: 1, Queue: 2}})
	socket := heldSocket{s.script, make(chan struct{}), make(chan struct{})}
	s.linking.transport = socket
	s.running.Add(1)
	f, err := newService("f", func() {})
	require.NoError(t, err)
	pending := s.linking.wires.NewCall()
	call := &request{provider: &s.serving.provider, function: f, origin: fromHere{pending}}
	call.Args = buffer.Copy(noArguments)
	s.reader.quick = []*request{call}

	first := &heldJob{askedc: make(chan struct{}), goOnc: make(chan struct{})}
	require.Equal(t, pool.Accepted, s.serving.pool.Offer(first))
	require.Equal(t, pool.Accepted, s.serving.pool.Offer(&heldJob{}))
	go s.serving.pool.Offer(&heldJob{}) // there is room if one has expired
	<-first.askedc
	oursc := make(chan bool)
	go func() { oursc <- s.reader.runQuick() }()
	<-socket.readingc // another goroutine has it
	close(first.goOnc)
	require.False(t, <-oursc)
	select {
	case <-pending.Done:
		require.Zero(t, pending.Code)
	case <-time.After(10 * time.Second):
		t.Error("nobody runs the call")
	}
	s.stop()
	close(socket.endc)
	s.running.Wait()
	s.serving.pool.Close(time.Second)
}

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
		b.reader.takeUpCalls(time.Now())
		b.hear()
		require.EqualValues(t, 1, runs.Load())
		require.Zero(t, f.running.Load())
	})
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
		b.hear(forge(a, b, wire.Request{Slot: 9, Seq: 1, Remaining: 50, Service: []byte("f"),
			Args: []byte{0x90}}.Append(nil)))
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		require.Zero(t, runs)
		require.Contains(t, repliesIn(b.script.take()),
			fmt.Sprintf("Reply 9/1 code %d executed %d", DeadlineExceeded, No))
	})
}

// [CALL-7] A request that finds no room MUST NOT be remembered in its slot unless it is answered: it is either answered
// Overloaded, executed no, or left unanswered, so that the caller sends it again.
func TestRequestThatFindsNoRoom(t *testing.T) {
	t.Run("is refused", func(t *testing.T) {
		onLinkPair(t, Config{Pool: Pool{Core: 1, Max: 1, Queue: 1, RejectWhenFull: true}}, func(
			t *testing.T, a, b *linkSide,
		) {
			b.offer(t, "slow", func() { time.Sleep(time.Second) })
			for range 2 {
				a.call(t, time.Minute, "slow")
				b.hear(a.script.take()...)
			}
			third := a.call(t, time.Minute, "slow")
			shuttle(a, b)
			third.require(t, Overloaded, No)
			b.hear(forge(a, b, wire.Poll{Slot: third.slot, Seq: third.seq}.Append(nil)))
			require.Equal(t, []string{fmt.Sprintf("Reply %d/1 code %d executed %d", third.slot, Overloaded, No)},
				repliesIn(b.script.take()))
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

// The moving average forgets, and one long run undoes many short ones.
func TestRunCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c runCost
		require.Equal(t, costUnknown, c.estimate())
		for range 40 {
			c.noteSince(time.Now())
		}
		require.Less(t, c.estimate(), costQuick)
		c.noteSince(time.Now().Add(-time.Second))
		require.Greater(t, c.estimate(), 200*time.Millisecond)
		c.bar()
		require.Equal(t, costUnknown, c.estimate())
	})
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

// A reader that never has to wait for a batch leaves quick functions to workers, but for the first in each; not before
// that has been so for a while, not once it had to wait, and not where there are no processors for workers.
func TestAFullReaderLeavesQuickFunctionsToWorkers(t *testing.T) {
	for _, play := range []struct {
		spreads     bool
		full, empty int // batches that lay there, and then batches that were waited for
		kept        int
	}{
		{true, 0, 0, 8}, {true, fullFrom - 1, 0, 8}, {true, fullFrom, 0, fullKeeps},
		{true, 10 * fullFrom, 0, fullKeeps}, {true, fullFrom, 1, 8}, {false, 10 * fullFrom, 0, 8},
	} {
		onLinkPair(t, Config{Pool: Pool{Core: 2}}, func(t *testing.T, a, b *linkSide) {
			var byReader atomic.Int64
			b.offer(t, "f", func() {
				stack := make([]byte, 64<<10)
				if strings.Contains(string(stack[:runtime.Stack(stack, false)]), "(*reader).runOne") {
					byReader.Add(1)
				}
			})
			wakeWorker(b)
			b.serving.offered.get("f").cost.ns.Store(1)
			b.reader.pressure.spreads = play.spreads
			for i := range play.full + play.empty {
				b.reader.pressure.note(i >= play.full)
			}
			var batch [][]byte
			for slot := range uint16(8) {
				batch = append(batch, forge(a, b, callOfF(slot, 1)))
			}
			b.hear(batch...)
			require.Len(t, repliesIn(b.script.take()), 8)
			require.EqualValues(t, play.kept, byReader.Load(), "%+v", play)
		})
	}
}

// wakeWorker has a worker at work once, so that one is parked.
func wakeWorker(s *linkSide) {
	_ = s.serving.pool.Submit(context.Background(), &heldJob{})
	synctest.Wait()
}
