package udp

import (
	"fmt"
	"net/netip"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestSockaddrsWriteNamesAsTheKernelReadsThem(t *testing.T) {
	for _, c := range []struct {
		name, addr string
		family     int
		size       uint32
		bytes      string // after the family, which is in the machine's own order
	}{
		{"IPv4", "10.1.2.3:258", unix.AF_INET, 16, "0102 0a010203 0000000000000000"},
		{"IPv4 given mapped", "[::ffff:10.1.2.3]:258", unix.AF_INET, 16, "0102 0a010203 0000000000000000"},
		{"IPv6", "[fd00::9]:258", unix.AF_INET6, 28, "0102 00000000 fd000000000000000000000000000009 00000000"},
		{"IPv4 on an IPv6 socket", "10.1.2.3:258", unix.AF_INET6, 28,
			"0102 00000000 00000000000000000000ffff0a010203 00000000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &sockaddrs{family: c.family}
			ap := netip.MustParseAddrPort(c.addr)
			sa := unix.RawSockaddrInet6{Flowinfo: 7, Scope_id: 7} // left by an earlier datagram
			size := s.put(&sa, ap)
			require.Equal(t, c.size, size)
			require.EqualValues(t, c.family, sa.Family)
			raw := (*[28]byte)(unsafe.Pointer(&sa))[2:size]
			require.Equal(t, c.bytes, spacedName(raw))
			require.Equal(t, Unmapped(ap), s.consume(&sa), "and back")
		})
	}
}

// spacedName prints a name's port, next four bytes, and the rest as the table above has them.
func spacedName(b []byte) string {
	s := fmt.Sprintf("%x %x %x", b[:2], b[2:6], b[6:min(len(b), 22)])
	if len(b) > 22 {
		s += fmt.Sprintf(" %x", b[22:])
	}
	return s
}

func TestSockaddrsKeepAnUnknownZoneAsANumber(t *testing.T) {
	s := &sockaddrs{family: unix.AF_INET6}
	ap := netip.MustParseAddrPort("[fe80::1%4000000]:5")
	var sa unix.RawSockaddrInet6
	s.put(&sa, ap)
	require.EqualValues(t, 4000000, sa.Scope_id)
	require.Equal(t, ap, s.consume(&sa))
}

func TestSockaddrsRememberABoundedNumberOfZones(t *testing.T) {
	s := &sockaddrs{family: unix.AF_INET6}
	for i := range 3 * maxZones {
		s.zone(uint32(5_000_000 + i))
		s.remember(fmt.Sprint("eth", i), uint32(i))
		require.LessOrEqual(t, len(s.zones), maxZones)
		require.LessOrEqual(t, len(*s.indexes.Load()), maxZones)
		require.EqualValues(t, i, s.index(fmt.Sprint("eth", i)), "the newest is known")
	}
	s.forget()
	require.Zero(t, s.index("eth1x"), "an interface this machine has not")
}

// Peers on one link are the usual case of an IPv6 cluster without a router.
func TestSockaddrsDoNotAllocateForKnownZones(t *testing.T) {
	s := &sockaddrs{family: unix.AF_INET6}
	ap := netip.AddrPortFrom(linkLocal(t), 5)
	var sa unix.RawSockaddrInet6
	allocs := testing.AllocsPerRun(100, func() {
		s.put(&sa, ap)
		if got := s.consume(&sa); got != ap {
			t.Error(got)
		}
	})
	require.Zero(t, allocs)
}
