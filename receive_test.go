package broach

import (
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"broach/internal/buffer"
	"broach/internal/link"
	"broach/internal/pool"
	"broach/internal/race"
	"broach/internal/udp"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// [LNK-13] A number more than 2^24 above the highest accepted on the link MUST be dropped.
func TestNumbersThatLeapTooFarAreDropped(t *testing.T) {
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		l := newAsker(t, 3, keys).meet(t, s)
		link := s.linking.tokens.Link(l.token)
		require.EqualValues(t, 1, link.record.Traffic.Numbered.Load())
		for _, number := range []uint64{2 + 1<<24, 1 << 40, 1<<64 - 1} {
			s.hear(l.sayAt(number))
		}
		require.EqualValues(t, 1, link.record.Traffic.Arrived.Load())
		require.EqualValues(t, 3, s.Stats().Replayed)
		s.hear(l.sayAt(1 + 1<<24))
		require.EqualValues(t, 2, link.record.Traffic.Arrived.Load())
		require.EqualValues(t, 1<<24+1, link.record.Traffic.Numbered.Load())
	})
}

// [HDR-5] A number that was seen before, is 0, or lies 4,096 or more below the highest seen, MUST be dropped
// [SEC-3] A number that HDR-5 or LNK-13 drops is dropped before a key is made for it.
func TestReplaysCostNoKey(t *testing.T) {
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		l := newAsker(t, 3, keys).meet(t, s)
		link := s.linking.tokens.Link(l.token)
		for n := uint64(1); n <= 4; n++ {
			s.hear(l.sayAt(n << 24))
		}
		s.hear(l.say(), l.say())
		arrived := link.record.Traffic.Arrived.Load()
		time.Sleep(time.Second) // what is made in the next is not yet
		for what, number := range map[string]uint64{
			"seen": 1<<26 + 1, "0": 0, "old": 5, "just too old": 1<<26 + 2 - 4096,
			"of an epoch before": 1<<26 - 1<<23, "too far": 1<<26 + 3 + 1<<24,
		} {
			junk := l.sayAt(number)
			for range 20 {
				s.hear(junk)
			}
			require.EqualValues(t, arrived, link.record.Traffic.Arrived.Load(), what)
		}
		require.Zero(t, s.Stats().Unopened)
		if keys == nil {
			return
		}
		for range 20 {
			s.hear(flippedAt(l.sayAt(18<<22+1), 25*8))
		}
		require.EqualValues(t, 16, s.Stats().Unopened, "as many as if there had been none before")
	})
}

// [SEC-3] A receiver keeps, for each ck, the keys of the highest e, the one before and the one after, and tries a
// farther e 16 times a second and link.
func TestFarEpochsAreTriedSeldom(t *testing.T) {
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		if keys == nil {
			return
		}
		a := newAsker(t, 3, keys)
		l, other := a.meet(t, s), newAsker(t, 4, keys).meet(t, s)
		link := s.linking.tokens.Link(l.token)
		junk := func(epoch uint64) []byte { return flippedAt(l.sayAt(epoch<<22+1), 25*8) }
		for range 100 {
			s.hear(junk(2))
		}
		require.EqualValues(t, 16, s.Stats().Unopened)
		require.EqualValues(t, 100-16, s.Stats().Replayed)
		for range 100 {
			s.hear(junk(1))
		}
		require.EqualValues(t, 16+100, s.Stats().Unopened, "the keys of the next are kept")

		s.hear(l.sayAt(2<<22 + 1))
		require.EqualValues(t, 1, link.record.Traffic.Arrived.Load(), "even what is sealed well: the second is not over")
		s.hear(other.sayAt(2<<22 + 1))
		require.EqualValues(t, 2, s.linking.tokens.Link(other.token).record.Traffic.Arrived.Load(), "each link has its own")
		s.hear(l.sayAt(1<<22+7), l.sayAt(1<<22+8))
		require.EqualValues(t, 3, link.record.Traffic.Arrived.Load())
		time.Sleep(time.Second)
		s.hear(l.sayAt(3<<22 + 1))
		require.EqualValues(t, 4, link.record.Traffic.Arrived.Load())
	})
}

// A link counts what it has accepted, and by the numbers what was sent.
func TestWhatIsAcceptedIsCounted(t *testing.T) {
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		l := newAsker(t, 3, keys).meet(t, s)
		link := s.linking.tokens.Link(l.token)
		bytesIn := link.record.Traffic.BytesIn.Load()
		b := l.sayAt(10)
		time.Sleep(time.Second)
		s.hear(b, b)
		require.EqualValues(t, 2, link.record.Traffic.Arrived.Load())
		require.EqualValues(t, 10, link.record.Traffic.Numbered.Load())
		require.EqualValues(t, len(b), link.record.Traffic.BytesIn.Load()-bytesIn)
		require.Equal(t, time.Now(), link.LastHeard())
	})
}

// linkFeed is a side and datagrams of a link to it, ready to be read.
type linkFeed struct {
	*linkSide
	datagrams [][]byte
	next      int
	now       time.Time
}

// newLinkFeed makes a link that was busy before, and n datagrams on it.
func newLinkFeed(t testing.TB, keys [][]byte, n int) *linkFeed {
	s := side(t, 2, Config{Keys: keys})
	t.Cleanup(func() { s.serving.pool.Close(time.Hour) })
	a := newAsker(t, 3, keys)
	l := a.take(s, a.askAnyway(s))
	f := &linkFeed{linkSide: s, now: time.Now(), datagrams: [][]byte{l.confirm(nil)}}
	for range n + 2*256 {
		f.datagrams = append(f.datagrams, l.say(wire.Progress{Slot: 1, Seq: 1}.Append(nil)))
	}
	for range 2 * 256 { // so many numbers make a link remember more of them
		f.read()
	}
	return f
}

// read has the reader handle the next datagram, in a batch of its own.
func (f *linkFeed) read() {
	f.reader.strangers.Begin(time.Now())
	f.reader.datagram(f.now, udp.Datagram{Addr: addrOf(3), B: f.datagrams[f.next]})
	f.reader.finish()
	f.next++
}

// Of a link's datagram the reader finds the link, judges the number, opens what is sealed and steps the link, and
// allocates nothing for it.
func TestReadingADatagramOfALinkAllocatesNothing(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	for name, keys := range map[string][][]byte{"without keys": nil, "with keys": {keyOf(1)}} {
		f := newLinkFeed(t, keys, 1100)
		link := f.linking.tokens.All()[0]
		before := link.record.Traffic.Arrived.Load()
		require.Zero(t, testing.AllocsPerRun(1000, f.read), name)
		require.EqualValues(t, 1001, link.record.Traffic.Arrived.Load()-before, name)
	}
}

// What a stranger sends that is none of a link costs no memory either, but for the Offer that answers an Open.
func TestDroppingADatagramAllocatesNothing(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	for name, keys := range map[string][][]byte{"without keys": nil, "with keys": {keyOf(1)}} {
		f := newLinkFeed(t, keys, 1)
		a := newAsker(t, 4, keys)
		l := a.take(f.linkSide, a.askAnyway(f.linkSide))
		l.token++
		for what, b := range map[string][]byte{
			"a replay": f.datagrams[1], "no token of ours": l.say(), "junk": make([]byte, 100),
			"no Offer of ours": a.prove(wire.AppendOffer(nil,
				wire.Offer{KeyID: a.keyID(), Echo: 5, Addr: a.addr, Observed: a.addr})),
			"another key": flippedAt(l.say(), 2*8),
		} {
			require.Zero(t, testing.AllocsPerRun(200,
				func() { f.reader.datagram(f.now, udp.Datagram{Addr: addrOf(3), B: b}) }), "%s, %s", what, name)
		}
	}
}

func BenchmarkReadDatagramOfALink(b *testing.B) {
	for name, keys := range map[string][][]byte{"open": nil, "sealed": {keyOf(1)}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			const round = 1 << 14
			f := newLinkFeed(b, keys, 0)
			for i := range b.N {
				if i%round == 0 {
					b.StopTimer()
					f = newLinkFeed(b, keys, round)
					b.StartTimer()
				}
				f.read()
			}
		})
	}
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

func (*heldJob) Run()               {}
func (*heldJob) Shed()              {}
func (*heldJob) Failed(any, []byte) {}
func (*heldJob) Reject()            {}

// A reader that is stopped before it finds that there is no worker in whose place the call could run has lost the
// reader by then. It gives the call to the workers, and wakes them itself: the new reader knows nothing of it.
func TestACallWaitsForAWorkerThoughTheReaderIsTakenOver(t *testing.T) {
	s := side(t, 1, Config{Pool: Pool{Core: 1, Max: 1, Queue: 2}})
	socket := heldSocket{s.script, make(chan struct{}), make(chan struct{})}
	s.linking.transport = socket
	s.running.Add(1)
	f, err := newService("f", func() {})
	require.NoError(t, err)
	call := &request{provider: &s.serving.provider, function: f, pending: s.linking.wires.NewCall()}
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
	case <-call.pending.Done:
		require.Zero(t, call.pending.Code)
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
