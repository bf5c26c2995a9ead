package transfer

import (
	"slices"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// A senderTest scripts the receiver of one sender. Bodies are cut into fragments of 256 bytes.
type senderTest struct {
	t   *testing.T
	now time.Time
	out Out

	number uint32               // of the last datagram
	sent   map[[2]uint32]uint32 // numbers, by transfer and index
}

func newSenderTest(t *testing.T) *senderTest {
	s := &senderTest{t: t, now: epoch, sent: map[[2]uint32]uint32{}}
	s.out.Init(s.now, minFragment)
	return s
}

// start begins a transfer of so many fragments.
func (s *senderTest) start(fragments int) (id uint32) {
	return s.out.Start(Body{Head: make([]byte, fragments*minFragment)}, uint64(fragments))
}

// send returns the indexes of the fragments that may be sent now, n at most.
func (s *senderTest) send(n int) (indexes []uint32) {
	for range n {
		f, ok := s.next()
		if !ok {
			break
		}
		indexes = append(indexes, f.Index)
	}
	return indexes
}

// next returns the fragment that may be sent now.
func (s *senderTest) next() (wire.Fragment, bool) {
	f, ok := s.out.Next(s.now, s.number+1)
	if ok {
		s.number++
		s.sent[[2]uint32{f.Transfer, f.Index}] = s.number
	}
	return f.Fragment, ok
}

func (s *senderTest) sendAll() []uint32 { return s.send(1 << 20) }

// ack acknowledges all below base, and others.
func (s *senderTest) ack(id, base uint32, others ...uint32) (finished bool, rtt time.Duration) {
	_, finished, rtt = s.take(ackOf(id, base, base+fragmentSpan, others...))
	checkSender(s.t, &s.out)
	return finished, rtt
}

// take takes an acknowledgement that is the only one of its batch.
func (s *senderTest) take(a wire.FragmentAck) (tag uint64, finished bool, rtt time.Duration) {
	if a.Newest == 0 {
		a.Newest = s.newest(a)
	}
	tag, finished, rtt = s.out.Ack(s.now, a)
	s.out.Judge()
	return tag, finished, rtt
}

// newest is the number of the newest sending of what is acknowledged.
func (s *senderTest) newest(a wire.FragmentAck) (newest uint32) {
	for of, number := range s.sent {
		i := int(of[1]) - int(a.Base) - 1
		if of[0] == a.Transfer && (of[1] < a.Base || i >= 0 && i/8 < len(a.Bitmap) && a.Bitmap[i/8]>>(i%8)&1 == 1) {
			newest = max(newest, number)
			delete(s.sent, of)
		}
	}
	return newest
}

// ackAll acknowledges all that was sent.
func (s *senderTest) ackAll() {
	for _, t := range slices.Clone(s.out.active) {
		s.ack(t.Id, t.high)
	}
}

func (s *senderTest) advance(d time.Duration) { s.now = s.now.Add(d) }

func (s *senderTest) wantWindow(size int, why string) {
	s.t.Helper()
	require.Equal(s.t, size, s.out.flight.window.size, why)
}

func ackOf(id, base, limit uint32, others ...uint32) wire.FragmentAck {
	a := wire.FragmentAck{Transfer: id, Base: base, Limit: limit}
	for _, index := range others {
		i := index - base - 1
		for len(a.Bitmap) <= int(i/8) {
			a.Bitmap = append(a.Bitmap, 0)
		}
		a.Bitmap[i/8] |= 1 << (i % 8)
	}
	return a
}

func indexes(from, to uint32) (list []uint32) {
	for i := from; i < to; i++ {
		list = append(list, i)
	}
	return list
}
