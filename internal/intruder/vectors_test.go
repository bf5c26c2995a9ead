package intruder

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// vectors are the rows of testdata/vectors.txt: those of the handshake with keys, and of that without.
func vectors(t *testing.T) (keyed, plain map[string][]byte) {
	text, err := os.ReadFile("testdata/vectors.txt")
	require.NoError(t, err)
	keyed, plain = map[string][]byte{}, map[string][]byte{}
	rows := keyed
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		line := lines.Text()
		if strings.HasPrefix(line, "# the same without keys") {
			rows = plain
		}
		name, value, found := strings.Cut(line, "  ")
		if found && !strings.HasPrefix(line, "#") {
			rows[name], err = hex.DecodeString(strings.TrimSpace(value))
		} else if i := strings.LastIndexByte(line, ' '); i > 0 && !strings.HasPrefix(line, "#") {
			rows[line[:i]], err = hex.DecodeString(line[i+1:])
		}
		require.NoError(t, err, line)
	}
	return keyed, plain
}

var (
	addrA = netip.MustParseAddrPort("127.0.0.1:18081")
	addrB = netip.MustParseAddrPort("127.0.0.1:18082")
)

const tokenA, stampB = 0x0102030405060708, 1_000_000

// sequence is the bytes from first on, one more each.
func sequence(first byte) (b [32]byte) {
	for i := range b {
		b[i] = first + byte(i)
	}
	return b
}

// pairOf are the two processes of the vectors.
func pairOf(key []byte) (a, b *Process) {
	a, b = NewProcess(addrA, "default", key, 1), NewProcess(addrB, "default", key, 2)
	if key == nil {
		a.Public, b.Public = sha256.Sum256([]byte("A")), sha256.Sum256([]byte("B"))
		return a, b
	}
	a.setPrivate(sequence(0x20))
	b.setPrivate(sequence(0x40))
	return a, b
}

// handshakeOf is what the two say outside of the link.
func handshakeOf(a, b *Process, rows map[string][]byte) (Open, Offer) {
	open := Open{Key: a.Key, Number: 1, Token: tokenA, Process: *a}
	offer := Offer{
		Key: b.Key, Rank: 1, Asker: tokenA, Stamp: stampB, Token: be.Uint64(rows["token B"]), Public: b.Public,
		Addr:     b.Addr,
		Observed: addrA,
	}
	return open, offer
}

func TestKeysAreThoseOfTheVectors(t *testing.T) {
	rows, _ := vectors(t)
	key := sequence(0)
	a, b := pairOf(key[:])
	open, offer := handshakeOf(a, b, rows)
	h := Transcript(open, offer)
	secret := Secret(key[:], a.Agree(b.Public), h)
	for name, got := range map[string][]byte{
		"key id": {KeyID(key[:])}, "public key A": a.Public[:], "public key B": b.Public[:],
		"boot id A": be.AppendUint64(nil, a.Boot()),
		"boot id B": be.AppendUint64(nil, b.Boot()), "outside key": outsideKey(key[:]), "transcript hash h": h[:],
		"X25519": a.Agree(b.Public),
		"secret": secret, "key a 0": expand(secret, "broach 2 key a\x00\x00\x00\x00\x00\x00\x00\x00"),
		"key b 0": expand(secret, "broach 2 key b\x00\x00\x00\x00\x00\x00\x00\x00"),
		"key a 1": expand(secret, "broach 2 key a\x00\x00\x00\x00\x00\x00\x00\x01"),
	} {
		require.Equal(t, hex.EncodeToString(rows[name]), hex.EncodeToString(got), name)
	}
	require.Equal(t, a.Agree(b.Public), b.Agree(a.Public))
}

// An intruder says byte for byte what the vectors have, and reads it.
func TestDatagramsAreThoseOfTheVectors(t *testing.T) {
	keyed, plain := vectors(t)
	key := sequence(0)
	for _, c := range []struct {
		key  []byte
		rows map[string][]byte
	}{{key[:], keyed}, {nil, plain}} {
		a, b := pairOf(c.key)
		open, offer := handshakeOf(a, b, c.rows)
		ping := Ping(tokenA)
		la, lb := a.Began(open, offer), b.Answered(open, offer)
		la.Table, lb.Table = 3, 1
		equal := func(name string, got []byte) {
			require.Equal(t, hex.EncodeToString(c.rows[name]), hex.EncodeToString(got), name)
		}
		equal("1 A > B Open", open.Bytes())
		equal("2 B > A Offer", offer.Bytes())
		equal("3 A > B Confirm [Ping]", la.Next(ping))
		read, ok := lb.Read(c.rows["3 A > B Confirm [Ping]"])
		require.True(t, ok)
		require.Equal(t, []Message{ping}, read)
		equal("4 B > A [Pong]", lb.Next(Pong(tokenA)))
		read, ok = la.Read(c.rows["4 B > A [Pong]"])
		require.True(t, ok)
		require.Equal(t, []Message{Pong(tokenA)}, read)
		for _, name := range []string{"1 A > B Open", "2 B > A Offer"} {
			require.True(t, IsProven(c.rows[name], c.key))
		}
		parsedOpen, ok := ParseOpen(c.rows["1 A > B Open"])
		require.True(t, ok)
		parsedOffer, ok := ParseOffer(c.rows["2 B > A Offer"])
		require.True(t, ok)
		require.Equal(t, Transcript(open, offer), Transcript(parsedOpen, parsedOffer))
	}
}

// The keys of a link change with the upper bits of its numbers; nothing opens twice changed, or at the other side.
func TestLinkDatagramsOfTheVectors(t *testing.T) {
	rows, _ := vectors(t)
	key := sequence(0)
	a, b := pairOf(key[:])
	open, offer := handshakeOf(a, b, rows)
	la, lb := a.Began(open, offer), b.Answered(open, offer)
	la.Table, la.confirmed = 3, true
	request := rows["5 A > B [Request]"]
	read, ok := lb.Read(request)
	require.True(t, ok)
	require.Len(t, read, 1)
	require.EqualValues(t, KindRequest, read[0].Kind)
	require.Equal(t, request, la.At(2, read...))
	require.Equal(t, rows["6 A > B [Ping] number 2^22"], la.At(1<<22, Ping(tokenA)))
	_, ok = la.Read(request)
	require.False(t, ok, "one's own")
	for i := range request {
		changed := bytes.Clone(request)
		changed[i] ^= 1
		_, ok = lb.Read(changed)
		require.False(t, ok, "byte %d", i)
	}
}
