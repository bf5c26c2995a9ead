package gate

import (
	"net/netip"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// [LNK-14] A process that can take no other peer says so to who asks, and makes no link with it. Peers that it has are
// served.
func TestWhoFindsNoRoomIsTold(t *testing.T) {
	onSide(t, func(t *testing.T, s *side, keys [][]byte) {
		peer, late := s.asker(t, 3, keys), s.asker(t, 4, keys)
		s.meet(t, peer)
		before := late.Take(s.ask(t, late))
		s.NoteSelf(time.Now(), Self{Addr: s.addr, IsFull: true})
		o := s.ask(t, late)
		require.EqualValues(t, []uint64{0, 0}, []uint64{o.Token, uint64(o.Rank)})
		require.EqualValues(t, 1, s.said[Full])
		s.made()
		s.hear(before.Confirm(nil))
		require.Zero(t, s.made())
		require.EqualValues(t, 2, s.said[Full], "it has filled between the Offer and the Confirm")

		require.NotZero(t, s.ask(t, peer).Token)
		s.NoteSelf(time.Now(), Self{Addr: s.addr})
		s.hear(before.Confirm(nil))
		require.Equal(t, 1, s.made())
	})
}

// An Offer that says that its sender has no room is let through, and is told of.
func TestARefusalIsLetThrough(t *testing.T) {
	onSide(t, func(t *testing.T, s *side, keys [][]byte) {
		a := s.asker(t, 3, keys)
		open, err := wire.ConsumeOpen(s.openTo(a))
		require.NoError(t, err)
		s.hear(a.Prove(wire.AppendOffer(nil, wire.Offer{KeyID: a.KeyID(), Echo: open.Token, Key: a.Process.Key,
			Addr:     a.Addr,
			Observed: s.addr})))
		require.EqualValues(t, 1, s.said[Refused])
		require.Len(t, s.offers, 1)
	})
}

// [LNK-1] An Open with B's own public key is not answered. Where it comes back to who sent it, the loop is told, once
// for each opening.
func TestAnOpenOfOursThatComesBackIsToldOf(t *testing.T) {
	onSide(t, func(t *testing.T, s *side, keys [][]byte) {
		open := s.openTo(s.asker(t, 3, keys))
		if keys != nil {
			s.hear(flippedAt(open, 115*8))
			require.EqualValues(t, 1, s.said[Unopened])
			require.Empty(t, s.backs)
		}
		s.hear(open, open)
		require.Len(t, s.backs, 1)
		m, err := wire.ConsumeOpen(open)
		require.NoError(t, err)
		require.Equal(t, []uint64{m.Token, m.Number}, []uint64{s.backs[0].Token, s.backs[0].Number})
		s.tokens.Forget(s.opened)
		s.hear(open)
		require.Len(t, s.backs, 1)
		require.Empty(t, s.answers())
	})
}

// A Confirm may name the address that the Offer had, and ours may have changed since: with keys, the link is made with
// that for as long as a Confirm may be under way.
func TestALinkIsMadeWithTheAddressThatWasOffered(t *testing.T) {
	for _, after := range []time.Duration{0, 4 * time.Second} {
		onSide(t, func(t *testing.T, s *side, keys [][]byte) {
			a := s.asker(t, 3, keys)
			l := a.Take(s.ask(t, a))
			s.NoteSelf(time.Now(), Self{Addr: addrOf(9)})
			time.Sleep(after)
			s.hear(l.Confirm(nil))
			require.Equal(t, 1, s.made(), "after %v", after)
		})
	}
	onSide(t, func(t *testing.T, s *side, keys [][]byte) {
		a := s.asker(t, 3, keys)
		s.NoteSelf(time.Now(), Self{Addr: addrOf(9)})
		time.Sleep(7 * time.Second)
		l := a.Take(s.ask(t, a)) // the asker takes it to be where it was
		s.hear(l.Confirm(nil))
		require.Equal(t, keys == nil, s.made() == 1)
	})
}

// Who does not know its own address asks who asks, [MEM-25].
func TestWhoLearnsItsAddressAsksBack(t *testing.T) {
	onSide(t, func(t *testing.T, s *side, keys [][]byte) {
		a := s.asker(t, 3, keys)
		s.NoteSelf(time.Now(), Self{Addr: netip.AddrPortFrom(netip.IPv4Unspecified(), 7000),
			Learning: s.tokens.Open(1)})
		s.hearFrom(a.Addr, a.Open(nil))
		out := s.answers()
		require.Len(t, out, 1)
		m, err := wire.ConsumeOpen(out[0].B)
		require.NoError(t, err)
		require.Equal(t, s.wires.Process.Key, m.Key)
		require.True(t, m.Addr.Addr().IsUnspecified())
	})
}

// The loop tells of the node in each of its turns, and mostly it is nothing new: that allocates nothing.
func TestTellingNothingNewAllocatesNothing(t *testing.T) {
	s := newSide(t, nil)
	self := Self{Addr: addrOf(9), IsFull: true}
	s.NoteSelf(time.Now(), self)
	now := time.Now()
	require.Zero(t, testing.AllocsPerRun(100, func() { s.NoteSelf(now, self) }))
}

// Addresses of seeds are found among those that the loop has told of last.
func TestSeedsAreKnown(t *testing.T) {
	s := newSide(t, nil)
	require.False(t, s.IsSeed(addrOf(1)))
	require.True(t, s.NoteSeeds([]netip.AddrPort{addrOf(1), addrOf(3)}))
	require.False(t, s.NoteSeeds([]netip.AddrPort{addrOf(1), addrOf(3)}), "nothing new")
	require.True(t, s.IsSeed(addrOf(1)) && s.IsSeed(addrOf(3)))
	require.False(t, s.IsSeed(addrOf(2)))
	require.True(t, s.NoteSeeds(nil))
	require.False(t, s.IsSeed(addrOf(1)))
}

// As many outputs of X25519 are kept as there may be peers, and some more: the oldest goes.
func TestSecretsAreKeptInMeasure(t *testing.T) {
	var s secrets
	key := func(i int) wire.PublicKey { return wire.PublicKey{byte(i), byte(i >> 8)} }
	for i := range secretsKept + 10 {
		s.keep(key(i), [32]byte{})
	}
	require.Len(t, s.known, secretsKept)
	require.Len(t, s.order, secretsKept)
	require.False(t, s.has(key(9)))
	require.True(t, s.has(key(10)))
}
