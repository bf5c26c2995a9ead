//go:build !linux

package udp

import "net"

// sendWhole leaves it to the system whether large datagrams travel as IP fragments. Where they do, a packet size may be
// found that is larger than the path's: such datagrams arrive, but are lost more often.
func sendWhole(*net.UDPConn) {}
