package transfer

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

func TestSendCutsTheBody(t *testing.T) {
	var out Out
	out.Init(epoch, 300)
	body := randomBytes(rand.New(rand.NewPCG(1, 1)), 700)
	id := out.Start(Body{Head: body}, 7)
	for i, want := range [][]byte{body[:300], body[300:600], body[600:]} {
		f, ok := out.Next(epoch, 1)
		require.True(t, ok)
		require.Equal(t, wire.Fragment{Transfer: id, Total: 700, Size: 300, Index: uint32(i), Data: want}, f.Fragment)
		require.Same(t, &want[0], &f.Data[0], "the data is not copied")
	}
	tag, finished, _ := out.Ack(epoch, ackOf(id, 3, 3))
	require.True(t, finished)
	require.Equal(t, uint64(7), tag)
	require.Empty(t, out.active)
}

func TestSendTakesTransfersInTurn(t *testing.T) {
	s := newSenderTest(t)
	first, second, third := s.start(4), s.start(2), s.start(4)
	var order []uint32
	for {
		f, ok := s.next()
		if !ok {
			break
		}
		order = append(order, f.Transfer)
	}
	require.Equal(t, []uint32{first, second, third, first, second, third, first, third, first, third}, order)
}

func TestSendKeepsTransfersWaiting(t *testing.T) {
	s := newSenderTest(t)
	for range maxTransfers + 3 {
		s.start(1)
	}
	require.Len(t, s.out.active, maxTransfers, "those under way")

	t.Log("one that waits is stopped; when two are finished, the one before and the one behind it follow")
	_, ok := s.out.Stop(maxTransfers + 2)
	require.True(t, ok)
	_, ok = s.out.Stop(maxTransfers + 2)
	require.False(t, ok, "stopped before")
	s.sendAll()
	s.ack(1, 1)
	s.ack(2, 1)
	require.Equal(t, uint32(maxTransfers+1), s.out.active[maxTransfers-2].Id)
	require.Equal(t, uint32(maxTransfers+3), s.out.active[maxTransfers-1].Id)
}

// A receiver that remembers the last 8,192 transfers must not take one that it has not seen for one of the past.
//
// [FRAG-10] A sender MUST NOT begin a transfer whose number is 4,096 or more above that of an unfinished one
func TestSendKeepsIDsTogether(t *testing.T) {
	s := newSenderTest(t)
	slow := s.start(1)
	for id := slow + 1; id < slow+maxIDSpread; id++ {
		s.start(1)
		s.advance(time.Millisecond)
		s.sendAll()
		finished, _ := s.ack(id, 1)
		require.True(t, finished)
	}
	s.start(1)
	require.Len(t, s.out.active, 1, "the next is too far from the first, which is not finished")
	s.sendAll()
	s.ack(slow, 1)
	require.Len(t, s.out.active, 1)
	require.Len(t, s.sendAll(), 1)
}

func TestSendIDsWrap(t *testing.T) {
	s := newSenderTest(t)
	s.out.lastID = 1<<32 - 3
	for range maxTransfers {
		s.start(1)
	}
	waiting := s.start(1)
	require.Equal(t, []uint32{1<<32 - 2, 1<<32 - 1, 1, 2}, []uint32{
		s.out.active[0].Id, s.out.active[1].Id, s.out.active[2].Id, s.out.active[3].Id}, "0 is no transfer")
	_, ok := s.out.Stop(waiting)
	require.True(t, ok)
	for range maxTransfers {
		s.sendAll()
		s.ack(s.out.active[0].Id, 1)
	}
	require.Empty(t, s.out.active)
}

func TestSendStop(t *testing.T) {
	s := newSenderTest(t)
	const rto = 50 * time.Millisecond
	stopped := s.start(16)
	s.sendAll()
	s.advance(time.Millisecond)
	sent := s.now
	other := s.start(16)
	s.sendAll()
	tag, ok := s.out.Stop(stopped)
	require.True(t, ok)
	require.Equal(t, uint64(16), tag)
	checkSender(t, &s.out)
	require.Equal(t, 16, s.out.flight.count, "its fragments are in flight no more")
	require.Equal(t, sent.Add(rto), s.out.NextTimeout(rto), "nor waited for")
	_, ok = s.out.Stop(stopped)
	require.False(t, ok)

	t.Log("what is still said of it means nothing, and its lost fragments are not sent")
	finished, _ := s.ack(stopped, 16)
	require.False(t, finished)
	for {
		f, ok := s.next()
		if !ok {
			break
		}
		require.Equal(t, other, f.Transfer)
	}
}

// [FRAG-2] A receiver [...] accepts only fragments below its limit.
func TestSendObeysLimit(t *testing.T) {
	s := newSenderTest(t)
	id := s.start(100)
	require.Len(t, s.sendAll(), 64)
	s.take(ackOf(id, 4, 8))
	checkSender(t, &s.out)
	require.Equal(t, 4, s.out.flight.count, "the receiver dropped all above 8: they are not in flight, and not lost")
	s.wantWindow(firstWindow+4*minFragment, "nor does the window shrink")
	require.Empty(t, s.sendAll())

	s.take(ackOf(id, 8, 10))
	require.Equal(t, []uint32{8, 9}, s.sendAll())
	s.take(ackOf(id, 9, 2))
	require.Empty(t, s.sendAll(), "a limit does not go back")
	s.ack(id, 10)
	require.Equal(t, indexes(10, 50), s.sendAll()[:40])
}

// A receiver without memory for a transfer keeps no state of it: the sender asks again.
// [FRAG-11] a limit at or below base means that the receiver has no room: its sender asks again
func TestSendProbes(t *testing.T) {
	s := newSenderTest(t)
	id := s.start(100)
	s.sendAll()
	s.take(ackOf(id, 0, 0))
	for _, wait := range []time.Duration{10, 20, 40, 80, 160, 200, 200, 200} {
		require.Empty(t, s.sendAll())
		require.Equal(t, s.now.Add(wait*time.Millisecond), s.out.NextTimeout(time.Second))
		s.advance(wait*time.Millisecond - 1)
		require.Empty(t, s.sendAll())
		s.advance(1)
		require.Equal(t, []uint32{0}, s.sendAll(), "a probe after %v ms", int64(wait))
		s.take(ackOf(id, 0, 0))
		s.take(ackOf(id, 0, 0))
	}
	s.wantWindow(firstWindow, "to be unwelcome is no sign of the network")

	s.advance(200 * time.Millisecond)
	s.sendAll()
	s.take(ackOf(id, 1, 20))
	require.Equal(t, indexes(1, 20), s.sendAll())

	t.Log("a receiver that has no room again is asked again, as soon as at first")
	s.take(ackOf(id, 20, 20))
	require.Equal(t, s.now.Add(firstProbe), s.out.NextTimeout(time.Second))
}

// A probe can be lost as any fragment can.
func TestSendProbeLost(t *testing.T) {
	s := newSenderTest(t)
	id := s.start(100)
	s.sendAll()
	s.take(ackOf(id, 0, 0))
	s.advance(firstProbe)
	require.Equal(t, []uint32{0}, s.sendAll())
	require.Equal(t, s.now.Add(50*time.Millisecond), s.out.NextTimeout(50*time.Millisecond))
	s.advance(50 * time.Millisecond)
	s.out.Timeout(s.now, 50*time.Millisecond)
	require.Equal(t, []uint32{0}, s.sendAll())
	checkSender(t, &s.out)
}

// What is due but has no room must not keep the link awake.
func TestSendProbeBehindFullWindow(t *testing.T) {
	const rto = 100 * time.Millisecond
	s := newSenderTest(t)
	blocked, other := s.start(1), s.start(1000)
	s.sendAll()
	s.take(ackOf(blocked, 0, 0))
	s.ack(other, 31)
	require.NotEmpty(t, s.sendAll())
	s.advance(firstProbe)
	require.False(t, s.out.Ready(s.now))
	require.Equal(t, epoch.Add(rto), s.out.NextTimeout(rto), "the probe waits with all others")
}

// A receiver may have begun the transfer with a later fragment than the one it was not willing to take.
func TestSendAckOfRecalledFragments(t *testing.T) {
	s := newSenderTest(t)
	id := s.start(40)
	s.sendAll()
	s.take(ackOf(id, 0, 0))
	s.ack(id, 30)
	require.Equal(t, indexes(30, 40), s.sendAll(), "they have arrived all the same")
}

func TestSendHostileAcks(t *testing.T) {
	s := newSenderTest(t)
	id := s.start(100)
	s.sendAll()
	s.ack(id, 10, 12)
	for name, a := range map[string]wire.FragmentAck{
		"another transfer":                {Transfer: id + 1, Base: 32},
		"no transfer":                     {},
		"base beyond what was sent":       {Transfer: id, Base: 65, Limit: 1 << 31},
		"base beyond the total":           {Transfer: id, Base: 101, Limit: 1 << 31},
		"base beyond everything":          {Transfer: id, Base: 1<<32 - 1, Limit: 1<<32 - 1},
		"a bitmap longer than 128 bytes":  {Transfer: id, Base: 32, Bitmap: make([]byte, 129)},
		"bits for fragments never sent":   ackOf(id, 10, 1034, 64, 65, 99, 100, 128+10, 128+31, 1033),
		"bits for what has been settled":  ackOf(id, 0, 1024, 1, 9, 12),
		"an old one, with a lower limit":  ackOf(id, 3, 5),
		"an old one, with a higher limit": ackOf(id, 3, 1<<32-1),
	} {
		before := s.out.flight.count
		_, finished, rtt := s.take(a)
		require.False(t, finished, name)
		require.Zero(t, rtt, name)
		require.Equal(t, before, s.out.flight.count, name)
		checkSender(t, &s.out)
	}
	require.Equal(t, indexes(64, 72), s.sendAll()[:8], "the transfer goes on")
}

// An old acknowledgement speaks of fragments whose place in the account others have taken since.
func TestSendOldAck(t *testing.T) {
	s := newSenderTest(t)
	id := s.start(3000)
	for s.out.find(id).base < 1000 {
		s.sendAll()
		s.ackAll()
	}
	s.sendAll()
	before := s.out.flight.count
	base := s.out.find(id).base
	s.ack(id, base-990, indexes(base-980, base)...)
	require.Equal(t, before, s.out.flight.count)
}

// However far the receiver lets it, a sender does not go beyond what an acknowledgement can tell.
func TestSendSpan(t *testing.T) {
	s := newSenderTest(t)
	id := s.start(5000)
	for range 200 {
		s.sendAll()
		s.advance(10 * time.Millisecond) // so long a path is what a reach of so much is for, [FRAG-13]
		s.take(ackOf(id, 0, 5000, indexes(1, min(s.out.find(id).next, fragmentSpan))...))
		checkSender(t, &s.out)
	}
	require.Equal(t, uint32(fragmentSpan), s.out.find(id).next)
}

// Whatever the other side says, the account stays right, nothing is sent outside of the body, and an honest
// acknowledgement in the end finishes the transfers.
func TestSendRandomAcks(t *testing.T) {
	for range 5 {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		rng := rand.New(rand.NewPCG(seed, 2))
		s, most := newSenderTest(t), 0
		for range 300 {
			switch rng.IntN(8) {
			case 0:
				s.start(1 + rng.IntN(300))
			case 1:
				s.out.Stop(rng.Uint32N(s.out.lastID + 2))
			case 2:
				s.advance(time.Duration(rng.IntN(60)) * time.Millisecond)
				s.out.Timeout(s.now, 10*time.Millisecond)
			case 3, 4:
				s.send(rng.IntN(200))
			default:
				s.take(randomAck(rng, &s.out))
			}
			checkSender(t, &s.out)
			most = max(most, s.out.flight.sent.Len(), s.out.flight.lost.Len())
		}
		for len(s.out.active) > 0 {
			s.advance(20 * time.Millisecond)
			s.out.Timeout(s.now, 10*time.Millisecond)
			s.sendAll()
			for _, t := range slices.Clone(s.out.active) {
				s.take(ackOf(t.Id, t.high, t.high+fragmentSpan))
			}
			checkSender(t, &s.out)
		}
		require.Zero(t, s.out.flight.count)
		require.LessOrEqual(t, most, 2*maxWindow, "what a receiver can make the sender remember")
	}
}

func randomAck(rng *rand.Rand, o *Out) wire.FragmentAck {
	a := wire.FragmentAck{Transfer: rng.Uint32N(o.lastID + 2)}
	if t := o.find(a.Transfer); t != nil {
		a.Base = t.base + rng.Uint32N(t.high-t.base+2)
		a.Limit = a.Base + rng.Uint32N(2)*rng.Uint32N(2000)
	}
	a.Bitmap = randomBytes(rng, rng.IntN(129))
	return a
}
