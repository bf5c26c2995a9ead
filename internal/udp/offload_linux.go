package udp

import (
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Segmentation offload (Linux 4.18, 5.0 for receiving): the kernel takes many datagrams of one size to one peer as a
// single message, and hands such over as one. Nearly all that a datagram costs is its way through the kernel: 1 MiB
// there and back measured 2.5 to 3 times as fast as with a message per datagram.

const (
	maxSegments  = 64       // datagrams in a message: UDP_MAX_SEGMENTS of kernels before 6.2
	maxSegmented = 64 << 10 // bytes of a message that is received
	offloadSlots = 16       // messages received by one call: their buffers are larger, so there are fewer
)

// segmentControl is the control message that says how large the segments of a message are. For UDP_SEGMENT, which is
// sent, size has 16 bits; for UDP_GRO, which is received, 32.
type segmentControl struct {
	head unix.Cmsghdr
	size [8]byte // the first bytes, the others are padding
}

// set makes it say the size of segments to be sent, and returns how long it is.
func (c *segmentControl) set(size int) int {
	c.head.Level, c.head.Type = unix.SOL_UDP, unix.UDP_SEGMENT
	c.head.SetLen(unix.CmsgLen(2))
	*(*uint16)(unsafe.Pointer(&c.size)) = uint16(size)
	// and no more: a kernel of 64 bits takes what follows, of a process of 32, for another message
	return unix.CmsgSpace(2)
}

// received returns the size of the segments of a message that has n bytes.
func (c *segmentControl) received(controlled, n int) int {
	size := int(*(*int32)(unsafe.Pointer(&c.size)))
	if controlled < unix.CmsgLen(4) || c.head.Level != unix.SOL_UDP || c.head.Type != unix.UDP_GRO || size <= 0 {
		return n
	}
	return size
}

// runOf returns how many datagrams, from the first of out on, go as one message: to one address, of one size but for
// the last, which may be smaller.
func runOf(out []Datagram) int {
	size, total, n := out[0].Len(), 0, 0
	for i := range out[:min(len(out), maxSegments)] {
		d := &out[i]
		length := d.Len()
		total += length
		if n > 0 && (length > size || length == 0 || d.Alone || d.Addr != out[0].Addr || total > maxGathered) {
			break
		}
		n++
		if length < size || d.Alone {
			break
		}
	}
	return n
}

// offload is what the system can do for a socket.
type offload struct{ send, receive bool }

// probeOffload finds out, and has the socket receive segments together.
func probeOffload(raw syscall.RawConn) (o offload) {
	_ = raw.Control(func(fd uintptr) {
		o.send = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT, 0) == nil
		o.receive = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_GRO, 1) == nil
	})
	return o
}

// refusesSegments says that the kernel took a message amiss because of its segments: EINVAL and EMSGSIZE if they are
// too large for the path, EIO if the device cannot make their checksums.
func refusesSegments(errno unix.Errno) bool {
	return errno == unix.EINVAL || errno == unix.EMSGSIZE || errno == unix.EIO
}

// segments hands out the datagrams of one received message. The zero value has none.
type segments struct {
	open bool // there is one more, which may be empty
	from netip.AddrPort
	rest []byte
	size int
}

// next returns the next datagram, and false when there is none.
func (s *segments) next() (b []byte, ok bool) {
	if !s.open {
		return nil, false
	}
	n := min(s.size, len(s.rest))
	b, s.rest = s.rest[:n:n], s.rest[n:]
	s.open = len(s.rest) > 0
	return b, true
}
