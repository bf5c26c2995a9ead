package udp

import (
	"net"

	"golang.org/x/sys/unix"
)

// sendWhole keeps datagrams from being cut into IP fragments on their way, [PATH-8]: a probe that arrives in fragments
// says nothing, and each fragment that is lost takes the whole datagram with it. What ICMP says of the path is not
// listened to, for anybody can send it. A system that refuses is left as it is: large datagrams are then lost more
// often, not always.
func sendWhole(conn *net.UDPConn) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { // of the two, one does not apply unless the socket takes both families
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE)
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE)
	})
}
