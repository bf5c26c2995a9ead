package udp

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// outBatch is the memory of one send under way.
type outBatch struct {
	mmsgs
	pieces                   [2 * maxBatch]unix.Iovec // of the datagrams, in order: one or two of each
	filled                   int                      // pieces
	out                      []Datagram               // all of the batch
	next, end                int                      // hdrs[next:end] are not yet sent
	runs                     [maxBatch]int            // datagrams in each message
	refused                  unix.Errno               // why a message was not taken in segments; 0: all were
	calls, sent, bytes, lost int                      // since load
	try                      func(fd uintptr)         // drain, bound once, for Control
	wait                     func(fd uintptr) bool    // the same, for Write
}

func newOutBatch() *outBatch {
	b := new(outBatch)
	b.link()
	b.try = func(fd uintptr) { b.drain(fd) }
	b.wait = b.drain
	return b
}

// load points the batch to out, of at most maxBatch datagrams, and starts counting anew.
func (b *outBatch) load(out []Datagram, names *sockaddrs, segmented bool) {
	b.out, b.next, b.end, b.refused = out, 0, 0, 0
	b.calls, b.sent, b.bytes, b.lost, b.filled = 0, 0, 0, 0, 0
	for first := 0; first < len(out); {
		n := 1
		if segmented {
			n = runOf(out[first:])
		}
		h := &b.hdrs[b.end].Hdr
		h.Namelen = names.put(&b.names[b.end], out[first].Addr)
		h.Iov = &b.pieces[b.filled]
		h.SetIovlen(b.fill(out[first : first+n]))
		b.control(n, out[first].Len())
		first += n
	}
}

// fill adds the pieces of a message, and returns how many it has. The kernel cuts the message into datagrams by bytes,
// wherever they lie.
func (b *outBatch) fill(message []Datagram) int {
	before := b.filled
	for i := range message {
		b.add(message[i].B)
		if tail := message[i].Tail; len(tail) > 0 {
			b.add(tail)
		}
	}
	return b.filled - before
}

func (b *outBatch) add(piece []byte) {
	b.pieces[b.filled].Base = unsafe.SliceData(piece)
	b.pieces[b.filled].SetLen(len(piece))
	b.filled++
}

// control adds a message of n datagrams.
func (b *outBatch) control(n, size int) {
	h, c := &b.hdrs[b.end].Hdr, &b.controls[b.end]
	h.Control = nil
	h.SetControllen(0)
	if n > 1 {
		h.Control = (*byte)(unsafe.Pointer(c))
		h.SetControllen(c.set(size))
	}
	b.runs[b.end] = n
	b.end++
}

// unload lets go of the payloads: the batch goes back to the pool without them.
func (b *outBatch) unload() {
	clear(b.pieces[:b.filled])
	b.out = nil
}

// drain sends what is left and reports false if the socket's buffer is full. The kernel stops
// at a datagram it refuses and gives the reason only if that is the first of a call; so the
// next call starts there, and the one after behind it.
func (b *outBatch) drain(fd uintptr) bool {
	for b.next < b.end {
		n, errno := b.push(fd)
		b.calls++
		switch errno {
		case 0:
			b.count(n)
		case unix.EAGAIN:
			return false
		case unix.EINTR:
		default:
			if b.runs[b.next] > 1 && refusesSegments(errno) {
				b.refused = errno
				return true
			}
			b.refuse(errno)
		}
	}
	return true
}

// refuse takes the next message as lost.
func (b *outBatch) refuse(errno unix.Errno) {
	n := b.runs[b.next]
	if errno == unix.EMSGSIZE && n == 1 {
		b.out[b.sent+b.lost].TooLong = true
	}
	b.lost += n
	b.next++
}

// push makes one system call. For a lone datagram it is the cheaper one, as in adapt, which takes one piece.
func (b *outBatch) push(fd uintptr) (int, unix.Errno) {
	if b.next+1 == b.end && b.runs[b.next] == 1 && b.hdrs[b.next].Hdr.Iovlen == 1 {
		return sendto(fd, &b.hdrs[b.next])
	}
	return mmsg(unix.SYS_SENDMMSG, fd, b.hdrs[b.next:b.end])
}

// count takes the next n messages as sent.
func (b *outBatch) count(n int) {
	for range n {
		b.bytes += int(b.hdrs[b.next].Len)
		b.sent += b.runs[b.next]
		b.next++
	}
}
