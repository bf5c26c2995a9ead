package broach

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// [LNK-13] A number more than 2^24 above the highest accepted on the link MUST be dropped.
func TestNumbersThatLeapTooFarAreDropped(t *testing.T) {
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		l := newAsker(t, 3, keys).meet(t, s)
		link := s.linking.tokens.link(l.token)
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
		link := s.linking.tokens.link(l.token)
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
		link := s.linking.tokens.link(l.token)
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
		require.EqualValues(t, 2, s.linking.tokens.link(other.token).record.Traffic.Arrived.Load(), "each link has its own")
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
		link := s.linking.tokens.link(l.token)
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
