package udp

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// [PATH-8] Datagrams SHOULD be sent so that no router, nor the sender's own system, cuts them into IP fragments.
func TestSocketsSendDatagramsWhole(t *testing.T) {
	ip4 := [3]int{unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE}
	ip6 := [3]int{unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE}
	for addr, options := range map[string][][3]int{"127.0.0.1:0": {ip4}, "[::1]:0": {ip6}, "[::]:0": {ip4, ip6}} {
		t.Run(addr, func(t *testing.T) {
			conn, err := listenUDP(addr)
			if err != nil {
				t.Skipf("this machine cannot bind %s: %v", addr, err)
			}
			defer conn.Close()
			require.Equal(t, 1400, Over(conn).Stats().Largest(), "the system may cut them")
			sendWhole(conn)
			require.Equal(t, 21829, Over(conn).Stats().Largest())
			require.Equal(t, 21829, newPlainTransport(conn).Stats().Largest())
			require.True(t, isWhole(struct{ Conn }{conn}), "nothing is known of another kind")
			raw, err := conn.SyscallConn()
			require.NoError(t, err)
			for _, o := range options {
				require.NoError(t, raw.Control(func(fd uintptr) {
					got, err := unix.GetsockoptInt(int(fd), o[0], o[1])
					require.NoError(t, err)
					require.Equal(t, o[2], got)
				}))
			}
		})
	}
}
