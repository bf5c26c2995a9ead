package seal

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

const head = 24

// newRing is a ring of keys that consist of one byte each.
func newRing(t testing.TB, keys ...byte) *Ring {
	var list [][]byte
	for _, k := range keys {
		list = append(list, append(bytes.Repeat([]byte{k}, KeySize-1), ^k))
	}
	r, err := NewRing(list)
	require.NoError(t, err)
	return r
}

// sameID are three keys with the key id 9.
func sameID() (keys [][]byte) {
	for n := uint16(0); len(keys) < 3; n++ {
		key := binary.BigEndian.AppendUint16(make([]byte, KeySize-2), n)
		if idOf(key) == 9 {
			keys = append(keys, key)
		}
	}
	return keys
}

// ends are the two ends of a link: a began it.
func ends(link byte) (a, b *Secret) {
	a = &Secret{Shared: [KeySize]byte{1}, Transcript: [32]byte{link}, Began: true}
	return a, &Secret{Shared: a.Shared, Transcript: a.Transcript}
}

// datagram is a header that ends in a number, and a text.
func datagram(number uint64, text string) []byte {
	d := binary.BigEndian.AppendUint64(bytes.Repeat([]byte{0xee}, numberStart), number)
	return append(d, text...)
}

func TestWhatOneEndSealsTheOtherOpens(t *testing.T) {
	r := newRing(t, 1)
	a, b := ends(1)
	for _, size := range []int{head, 90} {
		for _, text := range []string{"", "a", strings.Repeat("long", 300)} {
			for _, way := range [][2]*Secret{{a, b}, {b, a}} {
				plain := append(datagram(7, strings.Repeat("h", size-head)), text...)
				s := r.Sealer(way[0], 7)
				sealed := s.Seal(bytes.Clone(plain), size)
				require.Len(t, sealed, len(plain)+Overhead)
				require.Equal(t, plain[:size], sealed[:size], "the header stays readable")
				opened, err := new(Opener).Open(r, way[1], sealed, size, s.KeyID(), 7)
				require.NoError(t, err)
				require.Equal(t, text, string(opened))
			}
		}
	}
}

// [SEAL-1] A process that has keys MUST drop a datagram whose key id is 0 or none of theirs, or whose ... tag none of
// its keys with that id makes
func TestNothingElseOpens(t *testing.T) {
	r := newRing(t, 1)
	a, b := ends(1)
	sealed := r.Sealer(a, 7).Seal(datagram(7, "hello"), head)
	refuse := func(r *Ring, s *Secret, d []byte, keyID byte, what string, args ...any) {
		t.Helper()
		_, err := new(Opener).Open(r, s, bytes.Clone(d), head, keyID, 7)
		require.ErrorIs(t, err, ErrKey, append([]any{what}, args...)...)
	}
	for bit := range len(sealed) * 8 {
		d := bytes.Clone(sealed)
		d[bit/8] ^= 1 << (bit % 8)
		refuse(r, b, d, r.KeyID(), "bit %d", bit)
	}
	for n := range sealed {
		refuse(r, b, sealed[:n], r.KeyID(), "%d bytes", n)
	}
	refuse(r, b, append(bytes.Clone(sealed), 0), r.KeyID(), "a byte more")
	refuse(r, a, sealed, r.KeyID(), "other direction")
	_, other := ends(2)
	refuse(r, other, sealed, r.KeyID(), "other transcript")
	other = &Secret{Shared: [KeySize]byte{2}, Transcript: b.Transcript}
	refuse(r, other, sealed, r.KeyID(), "between other processes")
	refuse(newRing(t, 2), b, sealed, newRing(t, 2).KeyID(), "of another cluster")
	for id := range 256 {
		if byte(id) != r.KeyID() {
			refuse(r, b, sealed, byte(id), "key id %d", id)
		}
	}
}

// [SEAL-4] All keys open, also those that have the same key id. The first one seals.
func TestAllKeysOpen(t *testing.T) {
	keys := sameID()
	r, err := NewRing(keys)
	require.NoError(t, err)
	a, b := ends(1)
	var o Opener
	for i := range keys {
		only, err := NewRing(keys[i : i+1])
		require.NoError(t, err)
		number := uint64(i + 1)
		sealed := only.Sealer(a, number).Seal(datagram(number, "hello"), head)
		opened, err := o.Open(r, b, sealed, head, 9, number)
		require.NoError(t, err, "key %d", i)
		require.Equal(t, "hello", string(opened))
		require.Same(t, &sealed[head], &opened[0], "in place")
	}
	first, err := NewRing(keys[:1])
	require.NoError(t, err)
	_, err = new(Opener).Open(first, b, r.Sealer(a, 9).Seal(datagram(9, "hello"), head), head, 9, 9)
	require.NoError(t, err, "the first key seals")
}

// [SEAL-4] Links stay ..., and the keys of a link under another ck are made at first need.
func TestALinkOutlivesAChangeOfKeys(t *testing.T) {
	steps := []*Ring{newRing(t, 1), newRing(t, 1, 2), newRing(t, 2, 1), newRing(t, 2)}
	a, b := ends(1)
	var o Opener
	number := uint64(0)
	for at := range steps {
		for _, from := range steps[max(at-1, 0):min(at+2, len(steps))] { // the other end is a step behind or ahead
			number++
			s := from.Sealer(a, number)
			opened, err := o.Open(steps[at], b, s.Seal(datagram(number, "hello"), head), head, s.KeyID(), number)
			require.NoError(t, err, "step %d", at)
			require.Equal(t, "hello", string(opened))
		}
	}
	s := steps[0].Sealer(a, number)
	_, err := o.Open(steps[3], b, s.Seal(datagram(number, "hello"), head), head, s.KeyID(), number)
	require.ErrorIs(t, err, ErrKey, "a key that was taken away opens no more")
}

// [SEC-2] h, and so secret and keys, MUST be each link's own.
// [SEC-4] No two datagrams are sealed under one key and number.
func TestNoTwoDatagramsAreSealedAlike(t *testing.T) {
	zeros := strings.Repeat("\x00", 32)
	seen := make(map[string]string)
	for _, ring := range []byte{1, 2} {
		for _, link := range []byte{1, 2} {
			a, b := ends(link)
			for name, s := range map[string]*Secret{"a": a, "b": b} {
				for _, number := range []uint64{1, 2, 1 << 21, 1<<22 + 1, 1<<22 + 2, 2<<22 + 1, 1<<32 + 1, 1<<54 + 1} {
					stream := string(newRing(t, ring).Sealer(s, number).Seal(datagram(number, zeros), head)[head:])
					for _, part := range []string{stream[:16], stream[16:32]} {
						require.NotContains(t, seen, part, "key %d, link %d, %s, number %d", ring, link, name, number)
						seen[part] = name
					}
				}
			}
		}
	}
}

func TestSealersMayBeSharedByGoroutines(t *testing.T) {
	r := newRing(t, 1)
	a, b := ends(1)
	s := r.Sealer(a, 1)
	sealed := make([][]byte, 4)
	var group sync.WaitGroup
	for i := range sealed {
		group.Go(func() {
			for range 100 {
				sealed[i] = s.Seal(datagram(uint64(i+1), "hello"), head)
			}
		})
	}
	group.Wait()
	var o Opener
	for _, d := range sealed {
		_, err := o.Open(r, b, d, head, s.KeyID(), 4)
		require.NoError(t, err)
	}
}

func TestSealingAndOpeningAllocateNothing(t *testing.T) {
	r := newRing(t, 1)
	a, b := ends(1)
	s, o := r.Sealer(a, 1), new(Opener)
	d := append(make([]byte, 0, 2000), datagram(1, strings.Repeat("x", 1000))...)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, err := o.Open(r, b, s.Seal(d, head), head, s.KeyID(), 1); err != nil {
			t.Error(err)
		}
	}))
}

// Only what was sealed opens: sealing what came out gives what went in.
func FuzzOpen(f *testing.F) {
	r := newRing(f, 1)
	a, b := ends(1)
	random := rand.New(rand.NewPCG(1, 2))
	for range 4 {
		number := random.Uint64() >> random.IntN(64)
		f.Add(r.Sealer(a, number).Seal(datagram(number, "hello"), head), r.KeyID(), number)
	}
	f.Fuzz(func(t *testing.T, d []byte, keyID byte, highest uint64) {
		opened, err := new(Opener).Open(r, b, bytes.Clone(d), head, keyID, highest)
		if err != nil {
			require.ErrorIs(t, err, ErrKey)
			return
		}
		require.Equal(t, r.KeyID(), keyID)
		require.Equal(t, d, r.Sealer(a, numberOf(d)).Seal(append(bytes.Clone(d[:head]), opened...), head))
	})
}
