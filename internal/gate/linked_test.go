package gate

import (
	"broach/internal/wire"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A Confirm with the token of a link that its receiver began is dropped, and so is whatever has that of an opening.
func TestConfirmsAndOffersHaveTheirOwnTokens(t *testing.T) {
	onSide(t, func(t *testing.T, s *side, keys [][]byte) {
		a := s.asker(t, 3, keys)
		began, opening := s.beginTo(t, a), s.tokens.Open(1)
		s.hear(began.Confirm(nil))
		for _, form := range []wire.Form{wire.FormLink, wire.FormConfirm} {
			b := wire.AppendConfirm(nil, wire.Confirm{Header: wire.Header{KeyID: a.KeyID(), Token: opening, Number: 1},
				Echo: 1, Addr: a.Addr})
			b[3] = byte(form)
			s.hear(b)
		}
		require.EqualValues(t, 3, s.said[Stranger])
		require.Zero(t, s.tokens.Link(began.Token).traffic.Arrived.Load())
		s.hear(began.Say())
		require.EqualValues(t, 1, s.tokens.Link(began.Token).traffic.Arrived.Load())
	})
}

// [LNK-3] whichever comes first makes the link at B, and its messages and all that follow are taken.
// [HDR-5] A number that was seen before [...] MUST be dropped
func TestEachDatagramOfALinkIsTakenOnce(t *testing.T) {
	onSide(t, func(t *testing.T, s *side, keys [][]byte) {
		a := s.asker(t, 3, keys)
		l := a.Take(s.ask(t, a))
		first, second := l.Confirm(nil, wire.Ping{Nonce: 1}.Append(nil)),
			l.Confirm(nil, wire.Ping{Nonce: 2}.Append(nil))
		third := l.Say(wire.Ping{Nonce: 3}.Append(nil))
		for _, b := range [][]byte{second, first, second, third, third, first} {
			s.hear(b)
		}
		require.Equal(t, 1, s.made())
		link := s.tokens.Link(l.Token)
		require.EqualValues(t, 3, link.traffic.Arrived.Load())
		require.EqualValues(t, 3, s.said[Replayed])
		for i, nonce := range []uint64{2, 1, 3} {
			require.Equal(t, wire.Ping{Nonce: nonce}.Append(nil), s.messages[i])
		}
		require.Len(t, s.messages, 3)
	})
}

// [SEC-2] h, and so secret and keys, MUST be each link's own. The output of X25519 may be kept by the other's public
// key.
func TestLinksOfAPairHaveNoKeyInCommon(t *testing.T) {
	onSide(t, func(t *testing.T, s *side, keys [][]byte) {
		if keys == nil {
			return
		}
		a := s.asker(t, 3, keys)
		one := s.meet(t, a)
		time.Sleep(linkPause)
		two := s.meet(t, a)
		require.EqualValues(t, 1, s.secrets.made)
		two.Secret, one.Secret = one.Secret, two.Secret
		s.hear(one.Say(), two.Say())
		require.EqualValues(t, 2, s.said[Unopened])
		two.Secret, one.Secret = one.Secret, two.Secret
		s.hear(one.SayAt(one.Number), two.SayAt(two.Number))
		require.EqualValues(t, 2, s.said[Unopened])
	})
}

// [LNK-13] A number more than 2^24 above the highest accepted on the link MUST be dropped.
func TestNumbersThatLeapTooFarAreDropped(t *testing.T) {
	onSide(t, func(t *testing.T, s *side, keys [][]byte) {
		l := s.meet(t, s.asker(t, 3, keys))
		link := s.tokens.Link(l.Token)
		require.EqualValues(t, 1, link.traffic.Numbered.Load())
		for _, number := range []uint64{2 + 1<<24, 1 << 40, 1<<64 - 1} {
			s.hear(l.SayAt(number))
		}
		require.EqualValues(t, 1, link.traffic.Arrived.Load())
		require.EqualValues(t, 3, s.said[Replayed])
		s.hear(l.SayAt(1 + 1<<24))
		require.EqualValues(t, 2, link.traffic.Arrived.Load())
		require.EqualValues(t, 1<<24+1, link.traffic.Numbered.Load())
	})
}

// [HDR-5] A number that was seen before, is 0, or lies 4,096 or more below the highest seen, MUST be dropped
// [SEC-3] A number that HDR-5 or LNK-13 drops is dropped before a key is made for it.
func TestReplaysCostNoKey(t *testing.T) {
	onSide(t, func(t *testing.T, s *side, keys [][]byte) {
		l := s.meet(t, s.asker(t, 3, keys))
		link := s.tokens.Link(l.Token)
		for n := uint64(1); n <= 4; n++ {
			s.hear(l.SayAt(n << 24))
		}
		s.hear(l.Say(), l.Say())
		arrived := link.traffic.Arrived.Load()
		time.Sleep(time.Second) // what is made in the next is not yet
		for what, number := range map[string]uint64{
			"seen": 1<<26 + 1, "0": 0, "old": 5, "just too old": 1<<26 + 2 - 4096,
			"of an epoch before": 1<<26 - 1<<23, "too far": 1<<26 + 3 + 1<<24,
		} {
			junk := l.SayAt(number)
			for range 20 {
				s.hear(junk)
			}
			require.EqualValues(t, arrived, link.traffic.Arrived.Load(), what)
		}
		require.Zero(t, s.said[Unopened])
		if keys == nil {
			return
		}
		for range 20 {
			s.hear(flippedAt(l.SayAt(18<<22+1), 25*8))
		}
		require.EqualValues(t, 16, s.said[Unopened], "as many as if there had been none before")
	})
}

// [SEC-3] A receiver keeps, for each ck, the keys of the highest e, the one before and the one after, and tries a
// farther e 16 times a second and link.
func TestFarEpochsAreTriedSeldom(t *testing.T) {
	onSide(t, func(t *testing.T, s *side, keys [][]byte) {
		if keys == nil {
			return
		}
		a := s.asker(t, 3, keys)
		l, other := s.meet(t, a), s.meet(t, s.asker(t, 4, keys))
		link := s.tokens.Link(l.Token)
		junk := func(epoch uint64) []byte { return flippedAt(l.SayAt(epoch<<22+1), 25*8) }
		for range 100 {
			s.hear(junk(2))
		}
		require.EqualValues(t, 16, s.said[Unopened])
		require.EqualValues(t, 100-16, s.said[Replayed])
		for range 100 {
			s.hear(junk(1))
		}
		require.EqualValues(t, 16+100, s.said[Unopened], "the keys of the next are kept")

		s.hear(l.SayAt(2<<22 + 1))
		require.EqualValues(t, 1, link.traffic.Arrived.Load(), "even what is sealed well: the second is not over")
		s.hear(other.SayAt(2<<22 + 1))
		require.EqualValues(t, 2, s.tokens.Link(other.Token).traffic.Arrived.Load(), "each link has its own")
		s.hear(l.SayAt(1<<22+7), l.SayAt(1<<22+8))
		require.EqualValues(t, 3, link.traffic.Arrived.Load())
		time.Sleep(time.Second)
		s.hear(l.SayAt(3<<22 + 1))
		require.EqualValues(t, 4, link.traffic.Arrived.Load())
	})
}

// A link counts what it has accepted, and by the numbers what was sent.
func TestWhatIsAcceptedIsCounted(t *testing.T) {
	onSide(t, func(t *testing.T, s *side, keys [][]byte) {
		l := s.meet(t, s.asker(t, 3, keys))
		link := s.tokens.Link(l.Token)
		bytesIn := link.traffic.BytesIn.Load()
		b := l.SayAt(10)
		time.Sleep(time.Second)
		s.hear(b, b)
		require.EqualValues(t, 2, link.traffic.Arrived.Load())
		require.EqualValues(t, 10, link.traffic.Numbered.Load())
		require.EqualValues(t, len(b), link.traffic.BytesIn.Load()-bytesIn)
		require.Equal(t, time.Now(), link.LastHeard())
	})
}
