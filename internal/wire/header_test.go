package wire

import (
	"math/bits"
	"testing"

	"github.com/stretchr/testify/require"
)

var someHeader = Header{KeyID: 9, TableVersion: 3, Cluster: 4, Sender: 5, Receiver: 6, Number: 7}

// [HDR-1] A receiver MUST drop a datagram that is shorter than its header, or has another magic or version.
func TestForeignDatagramsAreRejected(t *testing.T) {
	for n := range HeaderSize {
		_, _, err := ConsumeHeader(AppendHeader(nil, someHeader)[:n])
		require.ErrorIs(t, err, ErrShort, "%d bytes", n)
	}
	for at, want := range []error{ErrMagic, ErrVersion} {
		for bit := range 8 {
			b := AppendHeader(nil, someHeader)
			b[at] ^= 1 << bit
			_, _, err := ConsumeHeader(b)
			require.ErrorIs(t, err, want, "byte %d, bit %d", at, bit)
		}
	}
}

func TestHeaderComesBackAsItWas(t *testing.T) {
	h, rest, err := ConsumeHeader(append(AppendHeader(nil, someHeader), "messages"...))
	require.NoError(t, err)
	require.Equal(t, someHeader, h)
	require.Equal(t, "messages", string(rest))
}

// flags: 0; ignored on receipt
func TestFlagsAreIgnored(t *testing.T) {
	b := AppendHeader(nil, someHeader)
	require.Zero(t, b[3])
	b[3] = 0xff
	h, _, err := ConsumeHeader(b)
	require.NoError(t, err)
	require.Equal(t, someHeader, h)
}

// Sealing, which reads the key id before the header is opened, finds it where AppendHeader put it.
func TestKeyIDIsTheThirdByte(t *testing.T) {
	require.Equal(t, byte(9), AppendHeader(nil, Header{KeyID: 9})[2])
}

func TestSetNumberChangesTheNumberOnly(t *testing.T) {
	b := append(AppendHeader(nil, someHeader), "messages"...)
	SetNumber(b, 0x0102030405060708)
	h, rest, err := ConsumeHeader(b)
	require.NoError(t, err)
	want := someHeader
	want.Number = 0x0102030405060708
	require.Equal(t, want, h)
	require.Equal(t, "messages", string(rest))
}

// The published test vectors of FNV-1a, and the digest of an entry, which is the hash of its bytes in a List.
func TestHashes(t *testing.T) {
	require.Equal(t, uint64(0xcbf29ce484222325), ClusterID(""))
	require.Equal(t, uint64(0xaf63dc4c8601ec8c), ClusterID("a"))
	require.Equal(t, uint64(0x85944171f73967e8), ClusterID("foobar"))

	for _, e := range []Entry{{addr4, 1}, {addr6, bits.Reverse64(1)}} {
		inList := List{Count: 1, Entries: []Entry{e}}.Append(nil)[FrameSize+12:]
		require.Equal(t, fnv1a(inList), Digest(e), "%v", e)
	}
}
