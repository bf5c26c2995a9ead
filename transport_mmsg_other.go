//go:build !linux

package broach

import "net"

// newBatchTransport reports false: this system moves one datagram per call.
func newBatchTransport(*net.UDPConn) (transport, bool) { return nil, false }
