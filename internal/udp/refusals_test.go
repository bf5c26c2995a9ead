package udp

import (
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// The system is asked what becomes of what is sent to a seed: it knows when nobody listens there, or when there is no
// way.
func TestTheSystemIsAskedOfSeeds(t *testing.T) {
	t.Parallel()
	there, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer there.Close()
	gone, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	away := gone.LocalAddr().(*net.UDPAddr).AddrPort()
	require.NoError(t, gone.Close())
	here := there.LocalAddr().(*net.UDPAddr).AddrPort()
	family := netip.MustParseAddrPort("[::1]:7000")
	b := []byte{1}
	refusals := Refusals(here.Addr(), []Datagram{{Addr: here, B: b}, {Addr: away, B: b}, {Addr: family, B: b}})
	require.Empty(t, refusals[here])
	require.Contains(t, refusals[away], "refused")
	require.NotEmpty(t, refusals[family])
}
