//go:build unix

package udp

import (
	"net"

	"golang.org/x/sys/unix"
)

// sendToOne takes away what package net gives to every socket: that it may send to the broadcast address of a network.
// An address that somebody else has named could be one, and a datagram to it would become one for each host, [MEM-26].
// A system that refuses leaves things as they are.
func sendToOne(conn *net.UDPConn) {
	if raw, err := conn.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_BROADCAST, 0) })
	}
}
