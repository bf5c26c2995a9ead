//go:build !unix

package udp

import "net"

// sendToOne is for systems whose sockets can be told apart by SO_BROADCAST here.
func sendToOne(*net.UDPConn) {}
