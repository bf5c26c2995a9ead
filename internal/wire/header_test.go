package wire

import (
	"math/bits"
	"testing"

	"github.com/stretchr/testify/require"
)

var someHeader = Header{KeyID: 9, Form: FormLink, TableVersion: 3, Token: 4, Number: 7}

// [HDR-1] A receiver MUST drop a datagram that has another magic or version or a form above 3, or is shorter than its
// form says
func TestForeignDatagramsAreRejected(t *testing.T) {
	for n := range HeaderSize {
		_, _, err := ConsumeHeader(AppendHeader(nil, someHeader)[:n])
		require.ErrorIs(t, err, ErrShort, "%d bytes", n)
	}
	for at, want := range []error{ErrMagic, ErrVersion} {
		good := AppendHeader(nil, someHeader)[at]
		for v := range 256 {
			b := AppendHeader(nil, someHeader)
			b[at] = byte(v)
			_, _, err := ConsumeHeader(b)
			require.Equal(t, byte(v) != good, err == want, "byte %d is %#x: %v", at, v, err)
		}
	}
}

// [HDR-1] A receiver MUST drop a datagram that has ... a form above 3
func TestThereAreFourForms(t *testing.T) {
	for v := range 256 {
		b := AppendHeader(nil, someHeader)
		b[3] = byte(v)
		h, _, err := ConsumeHeader(b)
		if v > 3 {
			require.ErrorIs(t, err, ErrField, "form %d", v)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, Form(v), h.Form)
	}
	require.Equal(t, []Form{0, 1, 2, 3}, []Form{FormLink, FormOpen, FormOffer, FormConfirm})
}

func TestHeaderComesBackAsItWas(t *testing.T) {
	h, rest, err := ConsumeHeader(append(AppendHeader(nil, someHeader), "messages"...))
	require.NoError(t, err)
	require.Equal(t, someHeader, h)
	require.Equal(t, "messages", string(rest))
}

// Sealing stands on where the token and the number are: the nonce is bytes 12 to 23 of the header.
func TestTheHeaderEndsInTheNonce(t *testing.T) {
	h := Header{Token: 0x0102030405060708, Number: 0x1112131415161718}
	b := AppendHeader(nil, h)
	require.Len(t, b, HeaderSize)
	require.Equal(t, []byte{5, 6, 7, 8, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18}, b[12:24])
	require.Equal(t, b[4:], AppendConfirm(nil, Confirm{Header: h})[4:HeaderSize])
}

// The published test vectors of FNV-1a, and the digest of an entry, which is the hash of its bytes in a List.
func TestHashes(t *testing.T) {
	require.Equal(t, uint64(0xcbf29ce484222325), ClusterID(""))
	require.Equal(t, uint64(0xaf63dc4c8601ec8c), ClusterID("a"))
	require.Equal(t, uint64(0x85944171f73967e8), ClusterID("foobar"))

	for _, e := range []Process{{addr4, 1}, {addr6, bits.Reverse64(1)}} {
		inList := List{Count: 1, Entries: []Process{e}}.Append(nil)[FrameSize+12:]
		require.Equal(t, fnv1a(inList), Digest(e), "%v", e)
	}
}
