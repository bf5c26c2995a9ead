package udp

import (
	"net"
	"syscall"

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

// isWhole reports whether a socket is one for which sendWhole was called, or somebody else has seen to the same. It is
// true of what is no socket of the system, of which nothing is known.
func isWhole(conn Conn) bool {
	u, isSocket := conn.(syscall.Conn)
	if !isSocket {
		return true
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return false
	}
	whole := true
	_ = raw.Control(func(fd uintptr) {
		four, err4 := unix.GetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER)
		six, err6 := unix.GetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER)
		whole = (err4 != nil || isNeverCut(four)) && (err6 != nil || isNeverCut(six))
	})
	return whole
}

// isNeverCut knows the settings that IPv4 and IPv6 have in common.
func isNeverCut(setting int) bool {
	return setting == unix.IP_PMTUDISC_DO || setting == unix.IP_PMTUDISC_PROBE
}
