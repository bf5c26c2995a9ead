package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// readExample reads the table of section 1.3 of PROTOCOL.md: hex by the words before it. Under "" is the whole document
// without spaces.
func readExample(t *testing.T) map[string][]byte {
	spec, err := os.ReadFile("../../PROTOCOL.md")
	require.NoError(t, err)
	rows := map[string][]byte{"": []byte(strings.ReplaceAll(string(spec), " ", ""))}
	for _, m := range regexp.MustCompile(
		"(?m)^\\| (.+) \\| `([0-9a-f]{32,})` \\|$",
	).FindAllStringSubmatch(string(spec), -1) {
		rows[m[1]] = unhex(t, m[2])
	}
	return rows
}

func unhex(t *testing.T, s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	require.NoError(t, err)
	return b
}

// counting are KeySize bytes that count from first on.
func counting(first byte) []byte {
	b := make([]byte, KeySize)
	for i := range b {
		b[i] = first + byte(i)
	}
	return b
}

func TestTheExampleOfTheProtocol(t *testing.T) {
	want := readExample(t)
	r, err := NewRing([][]byte{counting(0)})
	require.NoError(t, err)
	require.Equal(t, byte(0x52), r.KeyID())
	require.Equal(t, want["outside key"], r.keys[0].outside)

	a, b := NewPrivate(counting(0x20)), NewPrivate(counting(0x40))
	for _, p := range []Private{a, b} {
		public := p.Public()
		require.Contains(t, string(want[""]), hex.EncodeToString(public[:]))
	}
	shared, err := a.Shared(b.Public())
	require.NoError(t, err)
	require.Equal(t, want["X25519"], shared[:])

	secret := &Secret{Shared: shared, Transcript: [32]byte(want["h"]), Began: true}
	for row, got := range map[string]cipher.AEAD{
		"key(a, 0)": r.keys[0].derive(secret, true, 0),
		"key(b, 0)": r.keys[0].derive(secret, false, 0),
		"key(a, 1)": r.keys[0].derive(secret, true, 1),
	} {
		block, err := aes.NewCipher(want[row])
		require.NoError(t, err)
		aead, err := cipher.NewGCM(block)
		require.NoError(t, err)
		nonce := make([]byte, aead.NonceSize())
		require.Equal(t, aead.Seal(nil, nonce, nil, nil), got.Seal(nil, nonce, nil, nil), row)
	}
	confirm := unhex(t, "b7025203 00000003 a4d80b42c4729c71 0000000000000001 0102030405060708"+
		"358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254 "+
		"00000000000000000000ffff7f00000146a1 00000001 000f4240")
	ping := unhex(t, "26 0008 0102030405060708")
	sealed := r.Sealer(secret, 1).Seal(append(confirm, ping...), len(confirm))
	require.Equal(t, want["after the 90 bytes of the Confirm: a Ping with the nonce `0102030405060708`"],
		sealed[len(confirm):])
}

// The output of X25519 is the same at both ends, and another for each pair.
func TestTwoProcessesShareASecret(t *testing.T) {
	a, b, c := NewPrivate(counting(1)), NewPrivate(counting(2)), NewPrivate(counting(3))
	ab, err := a.Shared(b.Public())
	require.NoError(t, err)
	ba, err := b.Shared(a.Public())
	require.NoError(t, err)
	require.Equal(t, ab, ba)
	ac, err := a.Shared(c.Public())
	require.NoError(t, err)
	require.NotEqual(t, ab, ac)
}

// [SEC-1] An output of zeros drops the Offer or Confirm.
func TestPublicKeysThatGiveZerosAreErrors(t *testing.T) {
	p := NewPrivate(counting(1))
	for _, key := range []string{
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0000000000000000000000000000000000000000000000000000000000000080",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	} {
		shared, err := p.Shared([KeySize]byte(unhex(t, key)))
		require.Error(t, err, key)
		require.Zero(t, shared)
	}
}
