package seal

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKeyIDsAreNeverZero(t *testing.T) {
	for n := range 4096 {
		require.NotZero(t, idOf([]byte{byte(n >> 8), byte(n)}))
	}
}

func TestRingsAreOfOneToEightDifferentKeys(t *testing.T) {
	key := func(b byte) []byte { return append(bytes.Repeat([]byte{b}, KeySize-1), ^b) }
	many := make([][]byte, MaxKeys+1)
	for i := range many {
		many[i] = key(byte(i))
	}
	_, err := NewRing(many[:MaxKeys])
	require.NoError(t, err)
	for _, keys := range [][][]byte{nil, many, {key(1), key(1)}, {key(1)[1:]}, {append(key(1), 0)}, {nil}} {
		_, err := NewRing(keys)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "\x01", "a key is no part of a message")
	}
}

func TestRingsCopyTheirKeys(t *testing.T) {
	key := append(bytes.Repeat([]byte{1}, KeySize-1), 2)
	r, err := NewRing([][]byte{key})
	require.NoError(t, err)
	clear(key)
	require.Equal(t, must(NewRing([][]byte{append(bytes.Repeat([]byte{1}, KeySize-1), 2)})), r)
}

// proven is a datagram of 116 bytes with the proof of a key.
func proven(r *Ring, n int) []byte {
	d := bytes.Repeat([]byte{7}, 116)
	r.Prove(d, n)
	return d
}

// [SEAL-1] A process that has keys MUST drop a datagram whose key id is 0 or none of theirs, or whose proof ... none of
// its keys with that id makes
func TestOnlyAProofOfTheClusterIsOne(t *testing.T) {
	r := newRing(t, 1)
	d := proven(r, 0)
	require.Equal(t, bytes.Repeat([]byte{7}, 100), d[:100], "a proof changes nothing but itself")
	_, ok := r.Check(d, r.KeyID())
	require.True(t, ok)
	for bit := range len(d) * 8 {
		d[bit/8] ^= 1 << (bit % 8)
		_, ok := r.Check(d, r.KeyID())
		require.False(t, ok, "bit %d", bit)
		d[bit/8] ^= 1 << (bit % 8)
	}
	for n := ProofSize; n < len(d); n++ {
		_, ok := r.Check(d[:n], r.KeyID())
		require.False(t, ok, "%d bytes", n)
	}
	for id := range 256 {
		_, ok := r.Check(d, byte(id))
		require.Equal(t, byte(id) == r.KeyID(), ok, "key id %d", id)
	}
	_, ok = newRing(t, 2).Check(d, newRing(t, 2).KeyID())
	require.False(t, ok, "another cluster")
}

// [SEAL-4] An Offer is proven with the key of its Open.
func TestCheckTellsWhichKeyToAnswerWith(t *testing.T) {
	keys := append(sameID(), append(bytes.Repeat([]byte{1}, KeySize-1), 2))
	r, err := NewRing(keys)
	require.NoError(t, err)
	for i := range keys {
		only, err := NewRing(keys[i : i+1])
		require.NoError(t, err)
		n, ok := r.Check(proven(only, 0), only.KeyID())
		require.True(t, ok, "key %d", i)
		require.Equal(t, i, n)
		_, ok = only.Check(proven(r, n), only.KeyID())
		require.True(t, ok, "who has only key %d takes the answer", i)
	}
	require.Equal(t, byte(9), r.KeyID(), "the first key proves")
}

// Only what was proven passes.
func FuzzCheck(f *testing.F) {
	r, err := NewRing(sameID())
	require.NoError(f, err)
	for n := range r.keys {
		f.Add(proven(r, n), r.KeyID())
	}
	f.Fuzz(func(t *testing.T, d []byte, keyID byte) {
		if len(d) < ProofSize {
			return
		}
		n, ok := r.Check(d, keyID)
		if !ok {
			return
		}
		again := bytes.Clone(d)
		r.Prove(again, n)
		require.Equal(t, d, again)
		require.Equal(t, r.keys[n].id, keyID)
	})
}
