package handshake

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"broach/internal/seal"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

var (
	addrA = netip.MustParseAddrPort("127.0.0.1:18081")
	addrB = netip.MustParseAddrPort("127.0.0.1:18082")
	start = time.Unix(1_000_000_000, 0)
)

// readVectors reads testdata/vectors.txt: a handshake with keys, and the same without.
func readVectors(t testing.TB) (sealed, open map[string][]byte) {
	text, err := os.ReadFile("testdata/vectors.txt")
	require.NoError(t, err)
	sealed, open = make(map[string][]byte), make(map[string][]byte)
	in := sealed
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "# the same without keys") {
			in = open
		}
		if len(line) < 30 || line[0] == '#' {
			continue
		}
		b, err := hex.DecodeString(strings.TrimSpace(line[29:]))
		require.NoError(t, err, line)
		in[strings.TrimSpace(line[:29])] = b
	}
	return sealed, open
}

// counting are n bytes that count from first on.
func counting(first byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = first + byte(i)
	}
	return b
}

// exchange is one handshake between A and B, step by step as the vectors have it.
type exchange struct {
	ring  *seal.Ring // nil: without keys
	a, b  *Process
	open  wire.Open
	offer wire.Offer
}

func newExchange(t testing.TB, sealed bool, vectors map[string][]byte) *exchange {
	x := &exchange{
		a: NewProcess(append(counting(0x20, 32), make([]byte, 32)...), sealed, start),
		b: NewProcess(append(counting(0x40, 32), counting(0x60, 32)...), sealed, start),
	}
	if sealed {
		ring, err := seal.NewRing([][]byte{counting(0, 32)})
		require.NoError(t, err)
		x.ring = ring
	} else {
		copy(x.a.Key[:], vectors["1 A > B Open"][32:64])
		copy(x.b.Key[:], vectors["2 B > A Offer"][32:64])
		x.a.Boot, x.b.Boot = BootID(x.a.Key), BootID(x.b.Key)
	}
	x.open = wire.Open{Cluster: wire.ClusterID("default"), Number: 1, Token: 0x0102030405060708, Key: x.a.Key,
		Addr: addrA}
	if sealed {
		x.open.KeyID = x.ring.KeyID()
	}
	x.offer = x.b.Answer(start.Add(1_000_000*time.Millisecond), x.open, addrB, addrA, 0)
	return x
}

// prove fills in the proof of a datagram, if there are keys.
func (x *exchange) prove(datagram []byte) []byte {
	if x.ring != nil {
		x.ring.Prove(datagram, 0)
	}
	return datagram
}

func (x *exchange) terms() *Terms {
	return &Terms{
		Cluster: x.open.Cluster, Rank: x.offer.Rank, Stamp: x.offer.Stamp, TokenA: x.open.Token, KeyA: x.a.Key,
		AddrA:  addrA,
		TokenB: x.offer.Token, KeyB: x.b.Key, AddrB: addrB,
	}
}

func (x *exchange) confirm() wire.Confirm {
	return wire.Confirm{
		Header: wire.Header{KeyID: x.open.KeyID, TableVersion: 3, Token: x.offer.Token, Number: 1},
		Echo:   x.open.Token, Key: x.a.Key, Addr: addrA, Rank: x.offer.Rank, Stamp: x.offer.Stamp,
	}
}

// The vectors were made by two other implementations.
func TestOneHandshakeIsWhatTheVectorsSay(t *testing.T) {
	sealed, plain := readVectors(t)
	for name, vectors := range map[string]map[string][]byte{"keys": sealed, "no keys": plain} {
		t.Run(name, func(t *testing.T) {
			x := newExchange(t, name == "keys", vectors)
			require.Equal(t, vectors["boot id A"], binary.BigEndian.AppendUint64(nil, x.a.Boot))
			require.Equal(t, vectors["boot id B"], binary.BigEndian.AppendUint64(nil, x.b.Boot))
			require.Equal(t, vectors["1 A > B Open"], x.prove(wire.AppendOpen(nil, x.open)))
			require.Equal(t, vectors["token B"], binary.BigEndian.AppendUint64(nil, x.offer.Token))
			require.Equal(t, vectors["2 B > A Offer"], x.prove(wire.AppendOffer(nil, x.offer)))
			ping := wire.Ping{Nonce: 0x0102030405060708}.Append(wire.AppendConfirm(nil, x.confirm()))
			if x.ring == nil {
				require.Equal(t, vectors["3 A > B Confirm [Ping]"], ping)
				return
			}
			transcript := x.terms().Transcript()
			require.Equal(t, vectors["transcript hash h"], transcript[:])
			shared, err := x.a.Shared(x.b.Key)
			require.NoError(t, err)
			require.Equal(t, vectors["X25519"], shared[:])
			secret := &seal.Secret{Shared: shared, Transcript: transcript, Began: true}
			require.Equal(t, vectors["3 A > B Confirm [Ping]"], x.ring.Sealer(secret, 1).Seal(ping, wire.ConfirmSize))

			later := wire.AppendHeader(nil, wire.Header{KeyID: x.open.KeyID, Token: x.offer.Token, TableVersion: 3,
				Number: 1 << 22})
			later = wire.Ping{Nonce: 0x0102030405060708}.Append(later)
			require.Equal(t, vectors["6 A > B [Ping] number 2^22"],
				x.ring.Sealer(secret, 1<<22).Seal(bytes.Clone(later), wire.HeaderSize))
			atB := &seal.Secret{Shared: shared, Transcript: transcript}
			pong := wire.AppendHeader(nil, wire.Header{KeyID: x.open.KeyID, TableVersion: 1, Token: x.open.Token,
				Number: 1})
			pong = wire.Pong{Nonce: 0x0102030405060708}.Append(pong)
			require.Equal(t, vectors["4 B > A [Pong]"], x.ring.Sealer(atB, 1).Seal(pong, wire.HeaderSize))
		})
	}
}
