package broach

import (
	"log/slog"
	"net"
	"sync"
)

// socketBuffer is asked for in each direction, in bytes. It holds some 3,000 datagrams of 1,400
// bytes: what a 10 Gbit/s link brings in the few milliseconds the reader may have to wait for
// a processor. The usual default of 208 KiB is overrun by a single large message.
const socketBuffer = 4 << 20

// bufferKind is one of the two buffers of a socket.
type bufferKind int

const (
	receiveBuffer bufferKind = iota
	sendBuffer
)

func (k bufferKind) String() string {
	return [...]string{"receive", "send"}[k]
}

// set asks the system for size bytes.
func (k bufferKind) set(conn *net.UDPConn, size int) error {
	if k == receiveBuffer {
		return conn.SetReadBuffer(size)
	}
	return conn.SetWriteBuffer(size)
}

// askBuffers enlarges both buffers as far as the system allows.
func askBuffers(conn *net.UDPConn, log *slog.Logger) {
	for _, k := range []bufferKind{receiveBuffer, sendBuffer} {
		processBuffers.note(log, k, k.grow(conn, socketBuffer))
	}
}

// smallBuffers remembers which advice was given.
type smallBuffers [2]sync.Once

// processBuffers is for the whole process: it may run many nodes, and the limit is the machine's.
var processBuffers smallBuffers

// note says once per kind what was given and what to change, if it is less than asked for.
// That is no warning: all works, only bursts lose datagrams, which are sent again.
func (s *smallBuffers) note(log *slog.Logger, k bufferKind, got int) {
	if got >= socketBuffer {
		return
	}
	s[k].Do(func() {
		log.Info("socket buffer is smaller than asked for; large messages will be slower",
			"kind", k.String(), "asked", socketBuffer, "got", got, "remedy", k.remedy())
	})
}
