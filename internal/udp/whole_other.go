//go:build !linux

package udp

import (
	"net"
	"syscall"
)

// sendWhole leaves it to the system whether large datagrams travel as IP fragments. Where they do, a packet size may be
// found that is larger than the path's: such datagrams arrive, but are lost more often.
func sendWhole(*net.UDPConn) {}

// isWhole is true of what is no socket of the system, of which nothing is known.
func isWhole(conn Conn) bool {
	_, isSocket := conn.(syscall.Conn)
	return !isSocket
}
