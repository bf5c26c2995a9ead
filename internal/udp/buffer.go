package udp

import (
	"net"
	"sync"
)

// socketBufferSize is asked for in each direction, in bytes. It holds some 3,000 datagrams of 1,400
// bytes: what a 10 Gbit/s link brings in the few milliseconds the reader may have to wait for
// a processor. The usual default of 208 KiB is overrun by a single large message.
const socketBufferSize = 4 << 20

// socketBuffer is one of the two buffers of a socket.
type socketBuffer int

const (
	receiveSocketBuffer socketBuffer = iota
	sendSocketBuffer
)

func (k socketBuffer) String() string {
	return [...]string{"receive", "send"}[k]
}

// set asks the system for size bytes.
func (k socketBuffer) set(conn *net.UDPConn, size int) error {
	if k == receiveSocketBuffer {
		return conn.SetReadBuffer(size)
	}
	return conn.SetWriteBuffer(size)
}

// askBuffers enlarges both buffers as far as the system allows.
func askBuffers(conn *net.UDPConn, say func(text string, args ...any)) {
	for _, k := range []socketBuffer{receiveSocketBuffer, sendSocketBuffer} {
		processBuffers.note(say, k, k.grow(conn, socketBufferSize))
	}
}

// smallBuffers remembers which advice was given.
type smallBuffers [2]sync.Once

// processBuffers is for the whole process: it may run many nodes, and the limit is the machine's.
var processBuffers smallBuffers

// note says once per kind what was given and what to change, if it is less than asked for.
// That is no warning: all works, only bursts lose datagrams, which are sent again.
func (s *smallBuffers) note(say func(text string, args ...any), k socketBuffer, got int) {
	if got >= socketBufferSize {
		return
	}
	s[k].Do(func() {
		say("socket buffer is smaller than asked for; large messages will be slower",
			"kind", k.String(), "asked", socketBufferSize, "got", got, "remedy", k.remedy())
	})
}
