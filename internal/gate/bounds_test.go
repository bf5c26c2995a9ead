package gate

import (
	"broach/internal/wire"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// [AMP-1] An address that has proven nothing gets in answer to an Open that names it one datagram of its size, and to
// all else nothing.
func TestStrangersGetOneOfferAndNothingElse(t *testing.T) {
	onSide(t, func(t *testing.T, s *side, keys [][]byte) {
		a := s.asker(t, 3, keys)
		open := a.Open(nil)
		s.hearFrom(a.Addr, open)
		out := s.answers()
		require.Len(t, out, 1)
		require.Len(t, out[0].B, len(open))

		l := a.Take(a.Read(t, out[0].B))
		l.Token++
		offer := wire.Offer{KeyID: a.KeyID(), Rank: 1, Echo: 5, Token: 6, Key: a.Process.Key, Addr: a.Addr,
			Observed: a.Addr}
		junk := make([]byte, 100)
		for range 100 {
			rand.NewChaCha8([32]byte{2}).Read(junk)
			s.hearFrom(a.Addr, l.Say(wire.Ping{}.Append(nil)), l.Confirm(nil), a.Prove(wire.AppendOffer(nil, offer)),
				junk)
		}
		require.Empty(t, s.answers())
		require.Zero(t, s.tokens.Len())
	})
}

// [AMP-1] Offers go out 4,096 times a second at most, 8 of them to one address
func TestAnAddressGetsEightOffersASecond(t *testing.T) {
	onSide(t, func(t *testing.T, s *side, keys [][]byte) {
		victim, other := s.asker(t, 3, keys), s.asker(t, 4, keys)
		for range 2 {
			for i := range 50 {
				from := netip.AddrPortFrom(addrOf(i).Addr(), 1234)
				s.hearFrom(from, victim.Open(nil))
			}
			require.Len(t, s.answers(), 8)
			s.ask(t, other)
			time.Sleep(time.Second)
		}
		require.EqualValues(t, 84, s.said[Unanswered])
	})
}

// [AMP-1] Offers go out 4,096 times a second at most [...], 1,024 kept for addresses of peers and seeds
func TestOffersAreMadeInMeasure(t *testing.T) {
	onSide(t, func(t *testing.T, s *side, keys [][]byte) {
		known := s.asker(t, 4999, keys)
		s.meet(t, known)
		time.Sleep(2 * time.Second)
		s.answers()
		all := 0
		for i := range 4000 {
			a := s.asker(t, 3, keys)
			a.Addr = addrOf(3 + i)
			s.hear(a.Open(nil))
			all += len(s.answers())
		}
		require.Equal(t, 4096-1024, all)
		require.Len(t, s.askMany(known, 20), 8)
	})
}

// [AMP-1] Of a batch of datagrams a receiver looks at 96 Opens and at 96 Confirms without a known token.
func TestOfABatchSomeStrangersAreLookedAt(t *testing.T) {
	onSide(t, func(t *testing.T, s *side, keys [][]byte) {
		l := s.meet(t, s.asker(t, 999, keys))
		before := s.said
		var opens, confirms [][]byte
		for i := range 120 {
			a := s.asker(t, 3+i, keys)
			opens = append(opens, a.Open(nil))
			c := a.Take(s.askAnyway(a))
			c.Token++ // nothing but a MAC is computed for it
			confirms = append(confirms, c.Confirm(nil))
		}
		opens = append(opens, l.Say())
		s.hear(append(opens, confirms...)...)
		require.Len(t, s.answers(), 96)
		after := s.said
		require.EqualValues(t, 120-96+120-96, after[Unanswered]-before[Unanswered])
		require.EqualValues(t, 96, after[Stranger]-before[Stranger])
		require.EqualValues(t, 2, s.tokens.Link(l.Token).traffic.Arrived.Load(), "links are served all the same")
		s.hear(opens[:10]...)
		if keys == nil {
			require.Len(t, s.answers(), 10, "the next batch has its own")
		}
	})
}

// An Offer counts once for each opening, however often it comes.
func TestAnOpeningHearsOneOffer(t *testing.T) {
	onSide(t, func(t *testing.T, s *side, keys [][]byte) {
		a := s.asker(t, 3, keys)
		open := s.openTo(a)
		_, offer := a.Answer(t, open, 0)
		if keys != nil {
			s.hear(flippedAt(offer, 115*8))
			require.EqualValues(t, 1, s.said[Unopened])
		}
		require.Empty(t, s.offers)
		s.hear(offer, offer, offer)
		require.Len(t, s.offers, 1)
		s.tokens.Forget(s.opened)
		s.hear(offer)
		require.EqualValues(t, 1, s.said[Stranger], "the opening is over")
	})
}

// [LNK-14] A process makes [...] one per address and 250 ms
func TestOneLinkIsMadeAtAnAddressInAQuarterOfASecond(t *testing.T) {
	onSide(t, func(t *testing.T, s *side, keys [][]byte) {
		a, b := s.asker(t, 3, keys), s.asker(t, 4, keys)
		low, middle, _ := s.askThrice(t, a)
		elsewhere := b.Take(s.ask(t, b))
		s.hear(low.Confirm(nil), middle.Confirm(nil), elsewhere.Confirm(nil))
		require.Equal(t, 2, s.made())
		time.Sleep(linkPause - 1)
		s.hear(middle.Confirm(nil))
		require.Zero(t, s.made())
		time.Sleep(time.Nanosecond)
		s.hear(middle.Confirm(nil))
		require.Equal(t, 1, s.made(), "it comes again")
	})
}

// [LNK-14] and computes X25519 for Confirms, whether their tags then fit or not, at most 16 times in one batch of
// datagrams and 2,000 times a second. The others come again.
func TestX25519IsComputedSeldom(t *testing.T) {
	onSide(t, func(t *testing.T, s *side, keys [][]byte) {
		var confirms [][]byte
		for i := range 40 {
			a := s.asker(t, 3+i, keys)
			c := a.Take(s.ask(t, a)).Confirm(nil)
			if i%2 == 0 {
				c[len(c)-1] ^= 1 // the tag does not fit, or without keys the stamp
			}
			confirms = append(confirms, c)
		}
		s.hear(confirms...)
		if keys == nil {
			require.Equal(t, 20, s.made())
			return
		}
		require.EqualValues(t, 16, s.secrets.made)
		require.Equal(t, 8, s.made())
		s.hear(confirms...)
		require.EqualValues(t, 32, s.secrets.made, "of those that are known there is no need")
		s.hear(confirms...)
		require.Equal(t, 12, s.made())
		require.EqualValues(t, 40, s.secrets.made)

		for s.strangers.MayTry(time.Now(), true) { // 2,000 in this second
			s.strangers.Begin(time.Now())
		}
		late := s.asker(t, 99, keys)
		c := late.Take(s.ask(t, late)).Confirm(nil)
		s.hear(c)
		require.Zero(t, s.made())
		time.Sleep(time.Second)
		s.hear(c)
		require.Equal(t, 1, s.made())
	})
}

// [LNK-14] A process makes at most 2,000 links a second that peers and seeds began and 2,000 that others did
func TestLinksAreMadeInMeasure(t *testing.T) {
	onSide(t, func(t *testing.T, s *side, keys [][]byte) {
		if keys != nil {
			return // X25519 bounds it before
		}
		made := 0
		for i := range 2100 {
			a := s.asker(t, 3+i, nil)
			s.hear(a.Take(s.askAnyway(a)).Confirm(nil))
			made += s.made()
		}
		require.Equal(t, 2000, made)
		require.EqualValues(t, []uint64{100, 0}, []uint64{s.said[Unanswered], s.said[Unopened]},
			"it is not the keys that are wrong")
		known := s.asker(t, 3, nil)
		known.Addr = addrOf(3)
		time.Sleep(linkPause)
		s.hear(known.Take(s.askAnyway(known)).Confirm(nil))
		require.Equal(t, 1, s.made(), "of a peer")
	})
}
