//go:build !linux

package udp

import "net"

// minSocketBuffer ends the search for a size the system accepts, in bytes.
const minSocketBuffer = 64 << 10

// grow asks for size bytes, then for half as long as the system refuses, for some refuse
// instead of giving less. It returns what was accepted.
func (k socketBuffer) grow(conn *net.UDPConn, size int) int {
	for ; size >= minSocketBuffer; size /= 2 {
		if k.set(conn, size) == nil {
			return size
		}
	}
	return 0
}

// receiveBufferOf is not known: what the system says of it is not what it holds.
func receiveBufferOf(Conn) int { return 0 }

func (k socketBuffer) remedy() string {
	return "raise the system's limit for the size of socket buffers"
}
