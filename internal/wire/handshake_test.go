package wire

import (
	"bytes"
	"math"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// handshakes are the forms that make a link, and their decoders without what these decode.
var handshakes = []struct {
	name    string
	bytes   []byte
	consume func([]byte) error
}{
	{"Open", AppendOpen(nil, goldenOpen), func(b []byte) error { _, err := ConsumeOpen(b); return err }},
	{"Offer", AppendOffer(nil, goldenOffer), func(b []byte) error { _, err := ConsumeOffer(b); return err }},
	{"Confirm", AppendConfirm(nil, goldenConfirm), func(b []byte) error { _, _, err := ConsumeConfirm(b); return err }},
}

// The largest values, and each field another than the others.
var (
	extremeOpen = Open{
		KeyID: 255, Rank: math.MaxUint32, Cluster: math.MaxUint64, Number: math.MaxUint64 - 1,
		Token: math.MaxUint64 - 2,
		Key:   PublicKey{1}, Addr: addr6, Proof: Proof{15: 2},
	}
	extremeOffer = Offer{
		KeyID: 255, Rank: math.MaxUint32, Echo: math.MaxUint64, Stamp: math.MaxUint32 - 1, Held: math.MaxUint32 - 2,
		Token: math.MaxUint64 - 1, Key: PublicKey{31: 1}, Addr: addr6, Observed: addr4, Proof: Proof{2},
	}
	extremeConfirm = Confirm{
		Header: Header{KeyID: 255, Form: FormConfirm, TableVersion: math.MaxUint32, Token: math.MaxUint64,
			Number: math.MaxUint64 - 1},
		Echo: math.MaxUint64 - 2, Key: PublicKey{1}, Addr: addr6, Rank: math.MaxUint32 - 1, Stamp: math.MaxUint32 - 2,
	}
)

func TestHandshakesComeBackAsTheyWere(t *testing.T) {
	for _, want := range []any{extremeOpen, extremeOffer, extremeConfirm} {
		got, err := consumeAny(appendAny(want), want)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	before := []byte("before")[:6:6]
	for _, b := range [][]byte{
		AppendOpen(before, goldenOpen), AppendOffer(before, goldenOffer), AppendConfirm(before, goldenConfirm),
	} {
		require.Equal(t, "before", string(b[:6]))
		h, _, err := ConsumeHeader(b[6:])
		require.NoError(t, err)
		require.Equal(t, byte(0x52), h.KeyID, "it is known before its form")
		require.Equal(t, Form(b[9]), h.Form)
	}
}

// [AMP-1] An address that has proven nothing gets in answer to an Open that names it one datagram of its size
func TestAnOfferIsAsLargeAsItsOpen(t *testing.T) {
	require.Len(t, AppendOpen(nil, Open{}), OpenSize)
	require.Len(t, AppendOpen(nil, extremeOpen), OpenSize)
	require.Len(t, AppendOffer(nil, Offer{}), OpenSize)
	require.Len(t, AppendOffer(nil, extremeOffer), OpenSize)
	require.Len(t, AppendConfirm(nil, extremeConfirm), ConfirmSize)
}

func TestAConfirmIsOneWhateverItsHeaderSays(t *testing.T) {
	h, _, err := ConsumeHeader(AppendConfirm(nil, Confirm{Header: someHeader}))
	require.NoError(t, err)
	require.Equal(t, FormConfirm, h.Form)
}

// The proof is of all bytes before it.
func TestTheProofIsAtTheEnd(t *testing.T) {
	proof := Proof([]byte("0123456789abcdef"))
	for _, b := range [][]byte{AppendOpen(nil, Open{Proof: proof}), AppendOffer(nil, Offer{Proof: proof})} {
		require.Equal(t, proof[:], b[OpenSize-ProofSize:])
	}
}

// [HDR-1] A receiver MUST drop a datagram that ... is shorter than its form says
func TestShortHandshakesAreRejected(t *testing.T) {
	for _, h := range handshakes {
		for n := range h.bytes {
			require.ErrorIs(t, h.consume(h.bytes[:n]), ErrShort, "%d bytes of an %s", n, h.name)
		}
		require.NoError(t, h.consume(h.bytes), "all of an %s", h.name)
	}
}

// The token, 64 bits and not 0; no port is 0.
func TestHandshakesWithoutTokenOrPortAreRejected(t *testing.T) {
	with := func(change func(*Open, *Offer, *Confirm)) (Open, Offer, Confirm) {
		open, offer, confirm := goldenOpen, goldenOffer, goldenConfirm
		change(&open, &offer, &confirm)
		return open, offer, confirm
	}
	noPort := netip.AddrPortFrom(addr4.Addr(), 0)
	for what, change := range map[string]func(*Open, *Offer, *Confirm){
		"tokens of A":      func(a *Open, b *Offer, c *Confirm) { a.Token, b.Echo, c.Echo = 0, 0, 0 },
		"tokens of others": func(a *Open, b *Offer, c *Confirm) { a.Token, b.Echo, c.Token = 0, 0, 0 },
		"ports":            func(a *Open, b *Offer, c *Confirm) { a.Addr, b.Addr, c.Addr = noPort, noPort, noPort },
		"observed port":    func(a *Open, b *Offer, c *Confirm) { a.Addr, b.Observed, c.Addr = noPort, noPort, noPort },
	} {
		open, offer, confirm := with(change)
		for i, b := range [][]byte{AppendOpen(nil, open), AppendOffer(nil, offer), AppendConfirm(nil, confirm)} {
			require.ErrorIs(t, handshakes[i].consume(b), ErrField, "%s without %s", handshakes[i].name, what)
		}
	}
}

// [MEM-25] its Opens name `::` and its port. The Offer to such an Open goes to its source, with token B 0.
func TestWhoLearnsHasNoAddressAndIsOfferedNoToken(t *testing.T) {
	open, offer := goldenOpen, goldenOffer
	open.Addr = netip.AddrPortFrom(netip.IPv6Unspecified(), 18081)
	offer.Token, offer.Addr = 0, open.Addr
	for _, want := range []any{open, offer} {
		got, err := consumeAny(appendAny(want), want)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	open.Addr = netip.AddrPortFrom(netip.Addr{}, 18081)
	got, err := ConsumeOpen(AppendOpen(nil, open))
	require.NoError(t, err)
	require.Equal(t, netip.IPv6Unspecified(), got.Addr.Addr(), "no address is sent as ::")
}

// An address of 18 bytes is an IP, IPv6 or IPv4 mapped to it, and a port
func TestAnAddressOfAHandshakeHasOneEncoding(t *testing.T) {
	mapped := netip.AddrPortFrom(netip.AddrFrom16(addr4.Addr().As16()), addr4.Port())
	require.Equal(t, AppendAddr(nil, addr4), AppendAddr(nil, mapped))
	zoned := netip.AddrPortFrom(addr6.Addr().WithZone("eth0"), addr6.Port())
	require.Equal(t, AppendAddr(nil, addr6), AppendAddr(nil, zoned), "a zone stays at home")
	m := goldenOpen
	m.Addr = mapped
	got, err := ConsumeOpen(AppendOpen(nil, m))
	require.NoError(t, err)
	require.Equal(t, addr4, got.Addr)
}

// The zeros are ignored.
func TestTheZerosOfAnOpenAreIgnored(t *testing.T) {
	b := AppendOpen(nil, goldenOpen)
	zeros := b[OpenSize-ProofSize-addrSize : OpenSize-ProofSize]
	require.Equal(t, make([]byte, addrSize), zeros)
	copy(zeros, bytes.Repeat([]byte{0xff}, addrSize))
	got, err := ConsumeOpen(b)
	require.NoError(t, err)
	require.Equal(t, goldenOpen, got)
}

// [HDR-1] ... an Open or Offer also if it is longer: the length is the reader's to look at, before the proof.
func TestWhatFollowsAHandshakeIsNoPartOfIt(t *testing.T) {
	open, err := ConsumeOpen(append(AppendOpen(nil, goldenOpen), "more"...))
	require.NoError(t, err)
	require.Equal(t, goldenOpen, open)
	offer, err := ConsumeOffer(append(AppendOffer(nil, goldenOffer), "more"...))
	require.NoError(t, err)
	require.Equal(t, goldenOffer, offer)
	confirm, rest, err := ConsumeConfirm(append(AppendConfirm(nil, goldenConfirm), "messages"...))
	require.NoError(t, err)
	require.Equal(t, goldenConfirm, confirm)
	require.Equal(t, "messages", string(rest))
}
