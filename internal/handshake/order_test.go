package handshake

import (
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// [LNK-6] Links of a pair are ordered by rank, then by the greater public key of who began, then the later stamp
// (signed difference), then the greater token B.
func TestLinksAreOrderedByRankThenKeyThenStampThenToken(t *testing.T) {
	rising := []Order{
		{Rank: 1, Greater: false, Stamp: 9, TokenB: 9},
		{Rank: 1, Greater: true, Stamp: 1, TokenB: 1},
		{Rank: 1, Greater: true, Stamp: 1, TokenB: 2},
		{Rank: 1, Greater: true, Stamp: 2, TokenB: 1},
		{Rank: 2, Greater: false, Stamp: 1, TokenB: 1},
		{Rank: 1 << 31, Greater: false, Stamp: 0, TokenB: 0},
		{Rank: 1<<32 - 1, Greater: false, Stamp: 0, TokenB: 0},
		{Rank: 1<<32 - 1, Greater: false, Stamp: 0, TokenB: 1<<64 - 1},
	}
	for i := range rising {
		for j := range rising {
			require.Equal(t, i > j, rising[i].Compare(rising[j]) > 0, "%+v before %+v", rising[i], rising[j])
			require.Equal(t, i < j, rising[i].Compare(rising[j]) < 0, "%+v before %+v", rising[i], rising[j])
		}
	}
}

// Both ends must come to the same highest link, whichever they compare first: the order is strict and total where all
// stamps are within 24 days, also where they go round.
func TestTheOrderOfLinksIsStrictAndTotal(t *testing.T) {
	day := uint32((24 * time.Hour).Milliseconds())
	for _, base := range []uint32{0, 1<<31 - 1, 1<<32 - 1, 0 - 12*day} {
		var all []Order
		for _, stamp := range []uint32{base, base + 1, base + 12*day, base + 24*day} {
			require.Equal(t, stamp != base, Order{Stamp: stamp}.Compare(Order{Stamp: base}) > 0, "%d is later than %d",
				stamp, base)
			for i := range uint32(8) {
				all = append(all, Order{Rank: i & 1, Greater: i&2 == 0, Stamp: stamp, TokenB: uint64(i >> 2)})
			}
		}
		for _, a := range all {
			for _, b := range all {
				require.Equal(t, a == b, a.Compare(b) == 0, "%+v, %+v", a, b)
				require.Equal(t, a.Compare(b), -b.Compare(a), "%+v, %+v", a, b)
				for _, c := range all {
					if a.Compare(b) > 0 && b.Compare(c) > 0 {
						require.Positive(t, a.Compare(c), "%+v, %+v, %+v", a, b, c)
					}
				}
			}
		}
	}
}

// Of two links that the ends began at once, the one of the greater public key goes before the other, at both.
func TestOneOfTwoCrossingLinksIsTheGreater(t *testing.T) {
	for _, keys := range [][2]wire.PublicKey{
		{{1}, {2}}, {{2}, {1}}, {{31: 1}, {31: 2}}, {{0x7f}, {0x80}}, {{1, 1}, {1}},
	} {
		ab := Terms{Rank: 1, Stamp: 5, TokenB: 7, KeyA: keys[0], KeyB: keys[1]}
		ba := Terms{Rank: 1, Stamp: 6, TokenB: 8, KeyA: keys[1], KeyB: keys[0]}
		require.Equal(t, string(keys[0][:]) > string(keys[1][:]), ab.Order().Compare(ba.Order()) > 0)
		require.NotEqual(t, ab.Order().Greater, ba.Order().Greater)
	}
	m := Terms{Rank: 3, Stamp: 4, TokenA: 1, TokenB: 5, KeyA: wire.PublicKey{2}, KeyB: wire.PublicKey{1}}
	require.Equal(t, Order{Rank: 3, Greater: true, Stamp: 4, TokenB: 5}, m.Order())
}
