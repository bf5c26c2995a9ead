package handshake

import (
	"net/netip"
	"reflect"
	"testing"

	"broach/internal/seal"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// [SEC-2] h, and so secret and keys, MUST be each link's own.
func TestATranscriptIsOfEachOfItsTerms(t *testing.T) {
	base := *sealedExchange(t).terms()
	seen := map[[32]byte]string{base.Transcript(): "as it was"}
	try := func(what string, change func(m *Terms)) {
		m := base
		change(&m)
		h := m.Transcript()
		require.NotContains(t, seen, h, what)
		seen[h] = what
	}
	fields := reflect.TypeFor[Terms]()
	for i := range fields.NumField() {
		try(fields.Field(i).Name, func(m *Terms) { changeOne(t, reflect.ValueOf(m).Elem().Field(i)) })
	}
	for i := range wire.KeySize {
		try("public key A", func(m *Terms) { m.KeyA[i] ^= 0x80 })
		try("public key B", func(m *Terms) { m.KeyB[i] ^= 0x80 })
	}
	try("port of A", func(m *Terms) { m.AddrA = netip.AddrPortFrom(m.AddrA.Addr(), 1) })
	try("port of B", func(m *Terms) { m.AddrB = netip.AddrPortFrom(m.AddrB.Addr(), 1) })
	try("ends", func(m *Terms) {
		m.TokenA, m.KeyA, m.AddrA, m.TokenB, m.KeyB, m.AddrB = m.TokenB, m.KeyB, m.AddrB, m.TokenA, m.KeyA, m.AddrA
	})
	try("rank and stamp", func(m *Terms) { m.Rank, m.Stamp = m.Stamp, m.Rank })
}

// changeOne gives a field of Terms another value.
func changeOne(t *testing.T, field reflect.Value) {
	switch v := field.Addr().Interface().(type) {
	case *uint32:
		*v ^= 1 << 31
	case *uint64:
		*v ^= 1 << 63
	case *wire.PublicKey:
		v[0]++
	case *netip.AddrPort:
		*v = netip.AddrPortFrom(v.Addr().Next(), v.Port())
	default:
		t.Fatalf("a field of Terms is a %T", v)
	}
}

// An address is the same in the clothes of IPv6: a transcript is of bytes.
func TestBothEndsMakeTheSameTranscript(t *testing.T) {
	m := *sealedExchange(t).terms()
	h := m.Transcript()
	m.AddrA = netip.AddrPortFrom(netip.AddrFrom16(m.AddrA.Addr().As16()), m.AddrA.Port())
	require.Equal(t, h, m.Transcript())
}

// What each end seals the other opens, as the vectors have it.
func TestTheEndsOfALinkUnderstandEachOther(t *testing.T) {
	sealed, _ := readVectors(t)
	x := newExchange(t, true, sealed)
	shared, err := x.b.Shared(x.a.Key)
	require.NoError(t, err)
	atB := &seal.Secret{Shared: shared, Transcript: x.terms().Transcript()}
	var o seal.Opener
	for _, c := range []struct {
		name string
		head int
		kind wire.Kind
	}{
		{"3 A > B Confirm [Ping]", wire.ConfirmSize, wire.KindPing},
		{"5 A > B [Request]", wire.HeaderSize, wire.KindRequest},
		{"6 A > B [Ping] number 2^22", wire.HeaderSize, wire.KindPing},
	} {
		opened, err := o.Open(x.ring, atB, sealed[c.name], c.head, x.ring.KeyID(), 1)
		require.NoError(t, err, c.name)
		kind, _, rest, err := wire.ConsumeMessage(opened)
		require.NoError(t, err, c.name)
		require.Equal(t, c.kind, kind, c.name)
		require.Empty(t, rest, c.name)
	}
}
