package udp

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTransportReportsSourceAddresses(t *testing.T) {
	for _, c := range []struct{ name, sender, receiver, target string }{
		{"IPv4", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1"},
		{"IPv4 bound to all", "127.0.0.1:0", "0.0.0.0:0", "127.0.0.1"},
		{"IPv6", "[::1]:0", "[::1]:0", "::1"},
		{"IPv4 at a socket for both", "127.0.0.1:0", "[::]:0", "127.0.0.1"},
		{"IPv6 at a socket for both", "[::1]:0", "[::]:0", "::1"},
		{"IPv4 target given mapped", "127.0.0.1:0", "127.0.0.1:0", "::ffff:127.0.0.1"},
		{"bound to a mapped address", "[::ffff:127.0.0.1]:0", "127.0.0.1:0", "127.0.0.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			needAddr(t, c.sender, c.receiver)
			onBothPaths(t, func(t *testing.T, open opener) {
				a, b := open(c.sender), open(c.receiver)
				to := netip.AddrPortFrom(netip.MustParseAddr(c.target), b.LocalAddr().Port())
				mustSendAll(t, a, []Datagram{{Addr: to, B: []byte("there")}})
				got := collectDatagrams(t, b, 1)[0]
				require.Equal(t, a.LocalAddr(), got.Addr)

				mustSendAll(t, b, []Datagram{{Addr: got.Addr, B: []byte("and back")}})
				require.Equal(t, Unmapped(to), collectDatagrams(t, a, 1)[0].Addr)
			})
		})
	}
}

// needAddr skips a test on a machine which lacks one of the addresses.
func needAddr(t *testing.T, addrs ...string) {
	for _, a := range addrs {
		conn, err := listenUDP(a)
		if err != nil {
			t.Skipf("this machine cannot bind %s: %v", a, err)
		}
		require.NoError(t, conn.Close())
	}
}

func TestTransportKeepsTheZoneOfLinkLocalAddresses(t *testing.T) {
	addr := linkLocal(t)
	onBothPaths(t, func(t *testing.T, open opener) {
		a, b := open(netip.AddrPortFrom(addr, 0).String()), open("[::]:0")
		to := netip.AddrPortFrom(addr, b.LocalAddr().Port())
		for range 2 { // the second time from memory
			mustSendAll(t, a, []Datagram{{Addr: to, B: []byte("there")}})
			from := collectDatagrams(t, b, 1)[0].Addr
			require.Equal(t, a.LocalAddr(), from)
			require.Equal(t, addr.Zone(), from.Addr().Zone())
		}
	})
}

// linkLocal finds an IPv6 link-local address of this machine, zone included.
func linkLocal(t *testing.T) netip.Addr {
	ifs, err := net.Interfaces()
	if err != nil {
		t.Skipf("this machine, or an emulator of it, does not say its interfaces: %v", err)
	}
	for _, ifi := range ifs {
		addrs, err := ifi.Addrs()
		require.NoError(t, err)
		for _, a := range addrs {
			p, err := netip.ParsePrefix(a.String())
			if err == nil && p.Addr().Is6() && p.Addr().IsLinkLocalUnicast() && ifi.Flags&net.FlagRunning != 0 {
				return p.Addr().WithZone(ifi.Name)
			}
		}
	}
	t.Skip("this machine has no IPv6 link-local address")
	return netip.Addr{}
}

func TestOpenUDPBindsLoopbackByDefault(t *testing.T) {
	tr, err := Open("", nobody)
	require.NoError(t, err)
	defer tr.Close()
	require.Equal(t, netip.MustParseAddr("127.0.0.1"), tr.LocalAddr().Addr())
	require.NotZero(t, tr.LocalAddr().Port())

	_, err = Open(tr.LocalAddr().String(), nobody)
	require.Error(t, err, "the port is taken")
	var op *net.OpError
	require.True(t, errors.As(err, &op), "the cause is kept: %v", err)
}

// "An IPv4 address takes IPv4 only."
func TestOpenUDPBindsTheFamilyItWasGiven(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", "[::ffff:0.0.0.0]:0"} {
		tr, err := Open(addr, nobody)
		require.NoError(t, err)
		require.Equal(t, netip.IPv4Unspecified(), tr.LocalAddr().Addr(), "for %s", addr)
		require.NoError(t, tr.Close())
	}
}

func TestOpenUDPSaysWhatIsWrongWithAnAddress(t *testing.T) {
	for _, addr := range []string{"localhost:7000", ":7000", "127.0.0.1", "127.0.0.1:70000", "[::1%]:1"} {
		_, err := Open(addr, nobody)
		require.ErrorContains(t, err, "bind address is not ip:port", "for %q", addr)
	}
}
