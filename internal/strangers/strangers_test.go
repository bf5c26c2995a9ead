package strangers

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// strangerAt is the i-th of many addresses.
func strangerAt(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 5, byte(i >> 8), byte(i)}), 9)
}

// countOf is how often something is allowed, of n times.
func countOf(n int, allowed func(i int) bool) (count int) {
	for i := range n {
		if allowed(i) {
			count++
		}
	}
	return count
}

// [AMP-1] Offers go out 4,096 times a second at most, 8 of them to one address, 1,024 kept for addresses of peers and
// seeds
func TestOffersAreDividedAmongStrangersAndPeers(t *testing.T) {
	var s Bounds
	now := time.Unix(0, 0)
	for second := range 3 {
		now := now.Add(time.Duration(second) * time.Second)
		offer := func(known bool) func(int) bool {
			return func(i int) bool { return s.MayOffer(now.Add(time.Millisecond), strangerAt(i), known) }
		}
		require.True(t, s.MayOffer(now, strangerAt(60_000), false))
		require.Equal(t, 3071, countOf(10_000, offer(false)), "of the 3,072 that are for all")
		require.LessOrEqual(t, len(s.perAddr), 4096)
		require.Equal(t, 1024, countOf(10_000, func(i int) bool { return offer(true)(20_000 + i) }))
		require.LessOrEqual(t, len(s.perAddr), 4096, "who gets none is not remembered")
	}
	s = Bounds{}
	require.Equal(t, 4096, countOf(10_000, func(i int) bool { return s.MayOffer(now, strangerAt(i), true) }),
		"peers have what others leave, too")
	s = Bounds{}
	require.Equal(t, 8, countOf(100, func(int) bool { return s.MayOffer(now, strangerAt(1), true) }))
}

// [LNK-14] and computes X25519 for Confirms [...] at most 16 times in one batch of datagrams and 2,000 times a second.
func TestSecretsAreMadeInMeasure(t *testing.T) {
	var s Bounds
	now, made := time.Unix(0, 0), 0
	try := func(now time.Time) func(int) bool { return func(int) bool { return s.MayTry(now, true) } }
	for range 200 {
		s.Begin(now)
		k := countOf(100, try(now))
		require.LessOrEqual(t, k, 16)
		made += k
		require.True(t, s.MayTry(now, false), "what costs nothing is always tried")
	}
	require.Equal(t, 2000, made)
	s.Begin(now.Add(time.Second))
	require.Equal(t, 16, countOf(100, try(now.Add(time.Second))))
}

// [LNK-14] A process makes at most 2,000 links a second that peers and seeds began and 2,000 that others did
func TestLinksAreDividedAmongStrangersAndPeers(t *testing.T) {
	var s Bounds
	now := time.Unix(0, 0)
	for range 3 {
		require.Equal(t, 2000, countOf(5000, func(int) bool { return s.MayLink(now, false) }))
		require.Equal(t, 2000, countOf(5000, func(int) bool { return s.MayLink(now, true) }))
		now = now.Add(time.Second)
	}
}

// [LNK-1] or if, with keys, its proof is one of the last 16,384 that B answered
func TestTheLastOpensAreRemembered(t *testing.T) {
	var seen Seen
	proof := func(i int) (p wire.Proof) {
		binary.BigEndian.PutUint64(p[:], uint64(i)*0x9e3779b97f4a7c15)
		return p
	}
	for i := range 5 * seenMax / 2 {
		require.False(t, seen.Has(proof(i)))
		seen.Add(proof(i))
		require.True(t, seen.Has(proof(i)))
		require.True(t, seen.Has(proof(max(0, i-seenMax+1))), "the 16,384th before")
		require.LessOrEqual(t, len(seen.young)+len(seen.old), 2*seenMax)
	}
	require.False(t, seen.Has(proof(0)))
}

// Who is told of in the log is bounded, and a flood from many addresses costs no more for it.
func TestFewStrangersAreToldOf(t *testing.T) {
	var told Told
	now := time.Unix(0, 0)
	isNew := func(i int) bool { return told.IsNew(now, strangerAt(i)) }
	require.Equal(t, toldMax, countOf(10_000, isNew))
	require.Zero(t, countOf(10_000, isNew))
	require.Len(t, told.addrs, toldMax)
	now = now.Add(toldEvery)
	require.True(t, isNew(9999))
	require.False(t, isNew(9999))
}

// Only who asks for long and without a pause is told of; however many ask, few are remembered.
func TestPleas(t *testing.T) {
	var s Pleas
	now := time.Now()
	at := func(after time.Duration, i int) bool { return s.Add(now.Add(after), strangerAt(i)) }
	require.False(t, at(0, 1))
	require.False(t, at(unheardFor-1, 1))
	require.True(t, at(unheardFor, 1))
	require.False(t, at(unheardFor+unheardGap+1, 1), "it has begun anew")
	for i := range 10 * unheardMax {
		require.False(t, at(unheardFor+unheardGap+1, 2+i))
		require.LessOrEqual(t, len(s.by), unheardMax)
	}
}
