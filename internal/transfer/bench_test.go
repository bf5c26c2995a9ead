package transfer

import (
	"fmt"
	"testing"
	"time"

	"broach/internal/buffer"

	"github.com/stretchr/testify/require"
)

// A shortcut is a sender and a receiver without a network: batches of 32 fragments, one acknowledgement each.
type shortcut struct {
	now time.Time
	out Out
	in  In
}

func newShortcut() *shortcut {
	s := &shortcut{now: epoch}
	s.out.Init(s.now, testFragment)
	s.in.Init(testMessage, testMessage, &buffer.Budget{Size: 4 * testMessage})
	return s
}

// batch carries up to 32 fragments over, and says whether they complete a message.
func (s *shortcut) batch() (complete bool) {
	s.now = s.now.Add(10 * time.Microsecond)
	for range 32 {
		f, ok := s.out.Next(s.now, 0)
		if !ok {
			break
		}
		if b, _ := s.in.Fragment(s.now, 0, f.Fragment); b != nil {
			complete = true
			s.in.Release(len(b))
			buffer.Recycle(b)
		}
	}
	for a, ok := s.in.NextAck(); ok; a, ok = s.in.NextAck() {
		s.out.Ack(s.now, a)
	}
	s.out.Judge()
	return complete
}

func BenchmarkFragmentTransfer(b *testing.B) {
	for _, size := range []int{4 << 10, 64 << 10, 1 << 20, 64 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			s, body := newShortcut(), make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				s.out.Start(Body{Head: body}, 0)
				for !s.batch() {
				}
			}
		})
	}
}

// Neither side allocates per fragment. What is left is the doubling of the body: a handful in 40,000 fragments.
func TestFragmentAllocations(t *testing.T) {
	s := newShortcut()
	s.out.Start(Body{Head: make([]byte, testMessage)}, 0)
	for range 32 {
		s.batch()
	}
	batches := testing.AllocsPerRun(1000, func() { require.False(t, s.batch()) })
	require.Zero(t, batches, "allocations per 32 fragments")
}
