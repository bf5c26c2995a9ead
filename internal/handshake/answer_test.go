package handshake

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// at is a time so many milliseconds after the start of the processes.
func at(ms int64) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }

// sealedExchange is one handshake with keys: the Offer is made at 1,000,000 ms.
func sealedExchange(t testing.TB) *exchange {
	sealed, _ := readVectors(t)
	return newExchange(t, true, sealed)
}

// [LNK-1] rank: 1 + the larger of the Open's and held. stamp: milliseconds since B's start, the low 32 bits. observed:
// the source of the Open.
func TestAnOfferSaysWhatItsOpenWants(t *testing.T) {
	x := sealedExchange(t)
	source := netip.MustParseAddrPort("192.0.2.1:7")
	for _, c := range []struct{ open, held, want uint32 }{
		{0, 0, 1}, {0, 7, 8}, {7, 0, 8}, {7, 9, 10}, {1<<31 - 1, 0, 1 << 31},
	} {
		m := x.open
		m.Rank = c.open
		got := x.b.Answer(at(1<<32+5), m, addrB, source, c.held)
		require.NotZero(t, got.Token)
		got.Token = 0
		require.Equal(t, wire.Offer{
			KeyID: m.KeyID, Rank: c.want, Echo: m.Token, Stamp: 5, Held: c.held, Key: x.b.Key, Addr: addrB,
			Observed: source,
		}, got)
	}
	require.Equal(t, uint32(5), x.b.Stamp(at(1<<32+5)))
}

// [LNK-1] Token B is what only B can make of these fields, the same for the same
func TestATokenIsOfOneOfferOnly(t *testing.T) {
	x := sealedExchange(t)
	seen := make(map[uint64]string)
	offer := func(what string, p *Process, ms int64, held uint32, change func(m *wire.Open)) {
		m := x.open
		change(&m)
		token := p.Answer(at(ms), m, addrB, addrA, held).Token
		require.NotContains(t, seen, token, what)
		seen[token] = what
	}
	offer("as it was", x.b, 1_000_000, 0, func(*wire.Open) {})
	offer("held", x.b, 1_000_000, 1, func(*wire.Open) {})
	offer("rank", x.b, 1_000_000, 0, func(m *wire.Open) { m.Rank = 2 })
	offer("stamp", x.b, 1_000_001, 0, func(*wire.Open) {})
	offer("stamp, 49.7 days later", x.b, 1_000_000+1<<32, 0, func(*wire.Open) {})
	offer("token A", x.b, 1_000_000, 0, func(m *wire.Open) { m.Token++ })
	for i := range x.open.Key {
		offer("public key A", x.b, 1_000_000, 0, func(m *wire.Open) { m.Key[i] ^= 1 })
	}
	offer("IP of A", x.b, 1_000_000, 0, func(m *wire.Open) { m.Addr = netip.MustParseAddrPort("127.0.0.2:18081") })
	offer("port of A", x.b, 1_000_000, 0, func(m *wire.Open) { m.Addr = addrB })
	offer("by another process", x.a, 1_000_000, 0, func(*wire.Open) {})

	m := x.open
	m.Number++
	require.Equal(t, x.offer, x.b.Answer(at(1_000_000), m, addrB, addrA, 0), "the same for the same")
}

// [MEM-25] The Offer to such an Open goes to its source, with token B 0.
func TestWhoDoesNotKnowItsAddressIsOfferedNoLink(t *testing.T) {
	x := sealedExchange(t)
	for _, ip := range []netip.Addr{netip.IPv6Unspecified(), netip.IPv4Unspecified()} {
		m := x.open
		m.Addr = netip.AddrPortFrom(ip, 18081)
		require.Zero(t, x.b.Answer(at(0), m, addrB, addrA, 0).Token)
	}
}

// [LNK-3] B drops it unless the stamp is at most 5,000 ms old, token B is what LNK-1 makes of its fields ... The age is
// that of a monotonic clock, in whole milliseconds
func TestConfirmsAreTakenForFiveSecondsAndAsTheyWereOffered(t *testing.T) {
	x := sealedExchange(t)
	require.True(t, x.b.IsOurs(at(1_000_000), x.confirm()))
	require.True(t, x.b.IsOurs(at(1_005_000), x.confirm()))
	require.True(t, x.b.IsOurs(at(1_005_001).Add(-time.Nanosecond), x.confirm()), "5,000 whole milliseconds")
	require.False(t, x.b.IsOurs(at(1_005_001), x.confirm()), "too old")
	require.False(t, x.b.IsOurs(at(999_999), x.confirm()), "of the future")
	require.False(t, x.b.IsOurs(at(1_000_000+1<<32), x.confirm()), "the same low 32 bits, 49.7 days later")
	require.False(t, x.a.IsOurs(at(1_000_000), x.confirm()), "of another process")
	for name, change := range map[string]func(c *wire.Confirm){
		"rank":    func(c *wire.Confirm) { c.Rank++ },
		"stamp":   func(c *wire.Confirm) { c.Stamp-- },
		"echo":    func(c *wire.Confirm) { c.Echo++ },
		"key":     func(c *wire.Confirm) { c.Key[0]++ },
		"address": func(c *wire.Confirm) { c.Addr = addrB },
		"token":   func(c *wire.Confirm) { c.Token++ },
	} {
		c := x.confirm()
		change(&c)
		require.False(t, x.b.IsOurs(at(1_000_000), c), name)
	}
	c := x.confirm()
	c.Number, c.TableVersion = 9, 9
	require.True(t, x.b.IsOurs(at(1_000_000), c), "these are of the datagram, not of the Offer")
}

// Stamps go round after 49.7 days, and begin at 0.
func TestOffersAreConfirmedWhereStampsGoRound(t *testing.T) {
	x := sealedExchange(t)
	for _, made := range []int64{0, 1<<32 - 2000, 1 << 32, 3<<32 - 1} {
		x.offer = x.b.Answer(at(made), x.open, addrB, addrA, 0)
		require.True(t, x.b.IsOurs(at(made), x.confirm()), "%d", made)
		require.True(t, x.b.IsOurs(at(made+5000), x.confirm()), "%d", made)
		require.False(t, x.b.IsOurs(at(made+5001), x.confirm()), "%d", made)
		require.False(t, x.b.IsOurs(at(made-1), x.confirm()), "%d", made)
	}
	x.offer = x.b.Answer(at(-1), x.open, addrB, addrA, 0)
	require.False(t, x.b.IsOurs(at(1), x.confirm()), "from before the start")
}

// Its boot id is the first 8 bytes of SHA-256(`broach 2 boot` || public key), not 0.
func TestNeitherBootIDsNorTokensAreZero(t *testing.T) {
	require.Equal(t, uint64(1), idOf(make([]byte, 32)))
	require.Equal(t, uint64(1), idOf(append(make([]byte, 8), 9)))
	require.Equal(t, uint64(2), idOf(binary.BigEndian.AppendUint64(nil, 2)))
	seen := make(map[uint64]bool)
	for i := range 256 {
		id := BootID(wire.PublicKey{byte(i)})
		require.NotZero(t, id)
		require.False(t, seen[id])
		seen[id] = true
	}
}

// [SEC-1] An output of zeros drops the Offer or Confirm.
func TestAPublicKeyOfLowOrderIsNoKey(t *testing.T) {
	sealed, plain := NewProcess(counting(1, RandomSize), true, start), NewProcess(counting(1, RandomSize), false, start)
	_, err := sealed.Shared(wire.PublicKey{})
	require.Error(t, err)
	shared, err := plain.Shared(wire.PublicKey{})
	require.NoError(t, err, "without keys it is nothing but a name")
	require.Zero(t, shared)
}

// A public key tells nothing of what tokens are made of.
func TestAProcessIsMadeOfAllItsRandomBytes(t *testing.T) {
	x := sealedExchange(t)
	for _, sealed := range []bool{true, false} {
		random := counting(1, RandomSize)
		first := NewProcess(random, sealed, start)
		random[RandomSize-1]++
		second := NewProcess(random, sealed, start)
		require.Equal(t, first.Key, second.Key)
		token := first.Answer(at(0), x.open, addrB, addrA, 0).Token
		require.NotEqual(t, token, second.Answer(at(0), x.open, addrB, addrA, 0).Token)
		random[5]++
		require.NotEqual(t, first.Key, NewProcess(random, sealed, start).Key)
	}
}
