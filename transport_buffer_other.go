//go:build !linux

package broach

import "net"

// minBuffer ends the search for a size the system accepts, in bytes.
const minBuffer = 64 << 10

// grow asks for size bytes, then for half as long as the system refuses, for some refuse
// instead of giving less. It returns what was accepted.
func (k bufferKind) grow(conn *net.UDPConn, size int) int {
	for ; size >= minBuffer; size /= 2 {
		if k.set(conn, size) == nil {
			return size
		}
	}
	return 0
}

func (k bufferKind) remedy() string {
	return "raise the system's limit for the size of socket buffers"
}
