package udp

import (
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// socketBufferOptions are the options and the limit of each socketBuffer.
var socketBufferOptions = [...]struct {
	get, force int
	limit      string
}{
	receiveSocketBuffer: {unix.SO_RCVBUF, unix.SO_RCVBUFFORCE, "net.core.rmem_max"},
	sendSocketBuffer:    {unix.SO_SNDBUF, unix.SO_SNDBUFFORCE, "net.core.wmem_max"},
}

// grow asks for size bytes and returns what the kernel gave. Beyond the machine's limit a
// process that may administer the network (CAP_NET_ADMIN) gets it all the same; others are
// refused that, which shows in what is read back.
func (k socketBuffer) grow(conn *net.UDPConn, size int) int {
	if err := k.set(conn, size); err != nil {
		return 0
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0
	}
	got, opt := 0, socketBufferOptions[k]
	_ = raw.Control(func(fd uintptr) {
		if got = bufferGiven(int(fd), opt.get); got < size {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, opt.force, size)
			got = bufferGiven(int(fd), opt.get)
		}
	})
	return got
}

// receiveBufferOf is what the receive buffer of a socket holds, in bytes; 0 for what is no socket of the system.
func receiveBufferOf(conn Conn) (bytes int) {
	u, ok := conn.(syscall.Conn)
	if !ok {
		return 0
	}
	if raw, err := u.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { bytes = bufferGiven(int(fd), unix.SO_RCVBUF) })
	}
	return bytes
}

// bufferGiven reads a buffer's size. The kernel doubles what it is asked for, to pay for its
// own bookkeeping, and reports it doubled.
func bufferGiven(fd, opt int) int {
	n, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, opt)
	return n / 2
}

func (k socketBuffer) remedy() string {
	return fmt.Sprintf("sysctl -w %s=%d", socketBufferOptions[k].limit, socketBufferSize)
}
