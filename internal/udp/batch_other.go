//go:build !linux

package udp

import "net"

// newBatchTransport reports false: this system moves one datagram per call.
func newBatchTransport(*net.UDPConn) (Transport, bool) { return nil, false }
