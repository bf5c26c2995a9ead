package seal

import (
	"bytes"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const head = 40

// keyOf is a key for tests.
func keyOf(b byte) []byte { return append(bytes.Repeat([]byte{b}, KeySize-1), ^b) }

func newRing(t *testing.T, keys ...byte) *Ring {
	var list [][]byte
	for _, k := range keys {
		list = append(list, keyOf(k))
	}
	r, err := NewRing(list)
	require.NoError(t, err)
	return r
}

// datagram is a header that ends in a number, and a text.
func datagram(number byte, text string) []byte {
	d := bytes.Repeat([]byte{0xee}, head)
	d[head-1] = number
	return append(d, text...)
}

func TestWhatIsSealedIsOpened(t *testing.T) {
	r := newRing(t, 1)
	s, o := r.Sealer(1, 2), r.Opener(1, 2)
	for _, text := range []string{"", "a", strings.Repeat("long", 300)} {
		plain := datagram(7, text)
		sealed := s.Seal(bytes.Clone(plain), head)
		require.Len(t, sealed, len(plain)+Overhead)
		require.Equal(t, plain[:head], sealed[:head], "the header stays readable")
		opened, err := o.Open(sealed, head, s.KeyID())
		require.NoError(t, err)
		require.Equal(t, text, string(opened))
	}
}

// Whatever is changed, and whoever it is said to be from or for: it does not open.
func TestWhatWasChangedDoesNotOpen(t *testing.T) {
	r := newRing(t, 1)
	s := r.Sealer(1, 2)
	sealed := s.Seal(datagram(7, "hello"), head)
	for bit := range len(sealed) * 8 {
		b := bytes.Clone(sealed)
		b[bit/8] ^= 1 << (bit % 8)
		_, err := r.Opener(1, 2).Open(b, head, s.KeyID())
		require.ErrorIs(t, err, ErrKey, "bit %d", bit)
	}
	for n := range sealed {
		_, err := r.Opener(1, 2).Open(bytes.Clone(sealed[:n]), min(head, n), s.KeyID())
		require.ErrorIs(t, err, ErrKey, "%d bytes", n)
	}
	for _, o := range []*Opener{r.Opener(2, 1), r.Opener(1, 0), r.Opener(1, 3), newRing(t, 2).Opener(1, 2)} {
		_, err := o.Open(bytes.Clone(sealed), head, s.KeyID())
		require.ErrorIs(t, err, ErrKey)
	}
	_, err := r.Opener(1, 2).Open(bytes.Clone(sealed), head, s.KeyID()^1)
	require.ErrorIs(t, err, ErrKey, "another key id")
}

// All keys open, also those that have the same key id.
func TestAllKeysOpen(t *testing.T) {
	var keys [][]byte
	for n := 0; len(keys) < 3; n++ {
		key := append(make([]byte, KeySize-2), byte(n>>8), byte(n))
		if idOf(key) == 9 {
			keys = append(keys, key)
		}
	}
	r, err := NewRing(keys)
	require.NoError(t, err)
	o := r.Opener(1, 2)
	for i := range keys {
		only, err := NewRing(keys[i : i+1])
		require.NoError(t, err)
		opened, err := o.Open(only.Sealer(1, 2).Seal(datagram(byte(i), "hello"), head), head, 9)
		require.NoError(t, err, "key %d", i)
		require.Equal(t, "hello", string(opened))
	}
	first, err := NewRing(keys[:1])
	require.NoError(t, err)
	_, err = first.Opener(1, 2).Open(r.Sealer(1, 2).Seal(datagram(1, "hello"), head), head, 9)
	require.NoError(t, err, "the first key seals")
}

func TestKeyIDsAreNeverZero(t *testing.T) {
	for n := range 4096 {
		require.NotZero(t, idOf([]byte{byte(n >> 8), byte(n)}))
	}
}

func TestRingsAreOfOneToEightDifferentKeys(t *testing.T) {
	many := make([][]byte, MaxKeys+1)
	for i := range many {
		many[i] = keyOf(byte(i))
	}
	r, err := NewRing(many[:MaxKeys])
	require.NoError(t, err)
	require.Equal(t, MaxKeys, r.Len())
	require.Zero(t, (*Ring)(nil).Len())
	for _, keys := range [][][]byte{nil, many, {keyOf(1), keyOf(1)}, {keyOf(1)[1:]}, {append(keyOf(1), 0)}, {nil}} {
		_, err := NewRing(keys)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "\x01", "a key is no part of a message")
	}
}

// A key of one byte is memory that was never filled, or a placeholder.
func TestAKeyOfOneByteIsRefused(t *testing.T) {
	for b := range 256 {
		_, err := NewRing([][]byte{bytes.Repeat([]byte{byte(b)}, KeySize)})
		require.EqualError(t, err, "key 1 is one byte again and again; make one with: openssl rand -base64 32")
	}
}

// The example of section 1.4 of PROTOCOL.md.
func TestTheExampleOfTheProtocol(t *testing.T) {
	key := make([]byte, KeySize)
	for i := range key {
		key[i] = byte(i)
	}
	r, err := NewRing([][]byte{key})
	require.NoError(t, err)
	s := r.Sealer(0x1111111111111111, 0x2222222222222222)
	plain, err := hex.DecodeString("b701" + hex.EncodeToString([]byte{s.KeyID()}) + "00" + "00000003" + "ebada5168620c5fe" +
		"1111111111111111" + "2222222222222222" + "0000000000000007" + "2600080000000000000001")
	require.NoError(t, err)
	sealed := hex.EncodeToString(s.Seal(plain, head))
	spec, err := os.ReadFile("../../PROTOCOL.md")
	require.NoError(t, err)
	require.Contains(t, strings.ReplaceAll(string(spec), " ", ""), sealed, "PROTOCOL.md, 1.4")
}

func TestSealingAllocatesNothing(t *testing.T) {
	r := newRing(t, 1)
	s, o := r.Sealer(1, 2), r.Opener(1, 2)
	d := append(make([]byte, 0, 2000), datagram(1, strings.Repeat("x", 1000))...)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		sealed := s.Seal(d, head)
		if _, err := o.Open(sealed, head, s.KeyID()); err != nil {
			t.Error(err)
		}
	}))
}

func FuzzOpen(f *testing.F) {
	r, err := NewRing([][]byte{keyOf(0)})
	require.NoError(f, err)
	s := r.Sealer(1, 2)
	f.Add(s.Seal(datagram(1, "hello"), head), s.KeyID())
	f.Fuzz(func(t *testing.T, d []byte, keyID byte) {
		if len(d) < head {
			return
		}
		opened, err := r.Opener(1, 2).Open(bytes.Clone(d), head, keyID)
		if err == nil {
			require.Equal(t, d, s.Seal(append(bytes.Clone(d[:head]), opened...), head), "only what we have sealed opens")
		}
	})
}
