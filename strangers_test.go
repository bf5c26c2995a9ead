package broach

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
	var s strangers
	now := time.Unix(0, 0)
	for second := range 3 {
		now := now.Add(time.Duration(second) * time.Second)
		offer := func(known bool) func(int) bool {
			return func(i int) bool { return s.mayOffer(now.Add(time.Millisecond), strangerAt(i), known) }
		}
		require.True(t, s.mayOffer(now, strangerAt(60_000), false))
		require.Equal(t, 3071, countOf(10_000, offer(false)), "of the 3,072 that are for all")
		require.LessOrEqual(t, len(s.perAddr), 4096)
		require.Equal(t, 1024, countOf(10_000, func(i int) bool { return offer(true)(20_000 + i) }))
		require.LessOrEqual(t, len(s.perAddr), 4096, "who gets none is not remembered")
	}
	s = strangers{}
	require.Equal(t, 4096, countOf(10_000, func(i int) bool { return s.mayOffer(now, strangerAt(i), true) }), "peers have what others leave, too")
	s = strangers{}
	require.Equal(t, 8, countOf(100, func(int) bool { return s.mayOffer(now, strangerAt(1), true) }))
}

// [LNK-14] and computes X25519 for Confirms [...] at most 16 times in one batch of datagrams and 2,000 times a second.
func TestSecretsAreMadeInMeasure(t *testing.T) {
	var s strangers
	now, made := time.Unix(0, 0), 0
	try := func(now time.Time) func(int) bool { return func(int) bool { return s.mayTry(now, true) } }
	for range 200 {
		s.begin(now)
		k := countOf(100, try(now))
		require.LessOrEqual(t, k, 16)
		made += k
		require.True(t, s.mayTry(now, false), "what costs nothing is always tried")
	}
	require.Equal(t, 2000, made)
	s.begin(now.Add(time.Second))
	require.Equal(t, 16, countOf(100, try(now.Add(time.Second))))
}

// [LNK-14] A process makes at most 2,000 links a second that peers and seeds began and 2,000 that others did
func TestLinksAreDividedAmongStrangersAndPeers(t *testing.T) {
	var s strangers
	now := time.Unix(0, 0)
	for range 3 {
		require.Equal(t, 2000, countOf(5000, func(int) bool { return s.mayLink(now, false) }))
		require.Equal(t, 2000, countOf(5000, func(int) bool { return s.mayLink(now, true) }))
		now = now.Add(time.Second)
	}
}

// [LNK-1] or if, with keys, its proof is one of the last 16,384 that B answered
func TestTheLastOpensAreRemembered(t *testing.T) {
	var seen seenOpens
	proof := func(i int) (p wire.Proof) {
		binary.BigEndian.PutUint64(p[:], uint64(i)*0x9e3779b97f4a7c15)
		return p
	}
	for i := range 5 * seenMax / 2 {
		require.False(t, seen.has(proof(i)))
		seen.add(proof(i))
		require.True(t, seen.has(proof(i)))
		require.True(t, seen.has(proof(max(0, i-seenMax+1))), "the 16,384th before")
		require.LessOrEqual(t, len(seen.young)+len(seen.old), 2*seenMax)
	}
	require.False(t, seen.has(proof(0)))
}

// Who is told of in the log is bounded, and a flood from many addresses costs no more for it.
func TestFewStrangersAreToldOf(t *testing.T) {
	var told toldOf
	now := time.Unix(0, 0)
	isNew := func(i int) bool { return told.isNew(now, strangerAt(i)) }
	require.Equal(t, strangersMax, countOf(10_000, isNew))
	require.Zero(t, countOf(10_000, isNew))
	require.Len(t, told.addrs, strangersMax)
	now = now.Add(strangersEvery)
	require.True(t, isNew(9999))
	require.False(t, isNew(9999))
}
