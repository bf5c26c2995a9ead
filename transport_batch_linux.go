package broach

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// mmsgs is a batch as the kernel sees it: each header points to one name and one buffer.
type mmsgs struct {
	hdrs  [maxBatch]unix.Mmsghdr
	iovs  [maxBatch]unix.Iovec
	names [maxBatch]unix.RawSockaddrInet6
}

// link points the headers to their names and buffers, which never changes afterwards.
func (m *mmsgs) link() {
	for i := range m.hdrs {
		h := &m.hdrs[i].Hdr
		h.Name = (*byte)(unsafe.Pointer(&m.names[i]))
		h.Namelen = unix.SizeofSockaddrInet6
		h.Iov = &m.iovs[i]
		h.SetIovlen(1)
	}
}

// inBatch is the reader's memory. want goes in; got, errno and calls come out.
type inBatch struct {
	mmsgs
	bufs  [maxBatch][maxDatagram]byte
	want  int
	got   int
	errno unix.Errno
	calls int
	lone  bool                  // ask for one datagram only, by the cheaper call
	read  func(fd uintptr) bool // fill, bound once: a closure per call would allocate
}

func newInBatch() *inBatch {
	b := new(inBatch)
	b.link()
	for i := range b.iovs {
		b.iovs[i].Base = &b.bufs[i][0]
		b.iovs[i].SetLen(maxDatagram)
	}
	b.read = b.fill
	return b
}

// fill reports false if nothing is there and the poller shall wait.
func (b *inBatch) fill(fd uintptr) bool {
	for i := range b.hdrs[:b.got] {
		b.hdrs[i].Hdr.Namelen = unix.SizeofSockaddrInet6 // the kernel left the length it used
	}
	b.calls++
	if b.lone {
		b.got, b.errno = recvfrom(fd, &b.hdrs[0])
	} else {
		b.got, b.errno = mmsg(unix.SYS_RECVMMSG, fd, b.hdrs[:b.want])
	}
	return b.errno != unix.EAGAIN
}

// adapt chooses the next call. A peer that asks and waits sends datagrams which come alone and
// have to be waited for; a batch of one makes each of its round trips a tenth slower. One that
// lay there already may have others behind it.
func (b *inBatch) adapt() {
	waited := b.calls > 1
	b.lone = b.got == 1 && (waited || !b.lone)
}

// outBatch is the memory of one send under way.
type outBatch struct {
	mmsgs
	next, end                int                   // hdrs[next:end] are not yet sent
	calls, sent, bytes, lost int                   // since load
	try                      func(fd uintptr)      // drain, bound once, for Control
	wait                     func(fd uintptr) bool // the same, for Write
}

func newOutBatch() *outBatch {
	b := new(outBatch)
	b.link()
	b.try = func(fd uintptr) { b.drain(fd) }
	b.wait = b.drain
	return b
}

// load points the batch to out, of at most maxBatch datagrams, and starts counting anew.
func (b *outBatch) load(out []datagram, names *sockaddrs) {
	for i, d := range out {
		b.hdrs[i].Hdr.Namelen = names.put(&b.names[i], d.addr)
		b.iovs[i].Base = unsafe.SliceData(d.b)
		b.iovs[i].SetLen(len(d.b))
	}
	b.next, b.end = 0, len(out)
	b.calls, b.sent, b.bytes, b.lost = 0, 0, 0, 0
}

// unload lets go of the payloads: the batch goes back to the pool without them.
func (b *outBatch) unload() {
	clear(b.iovs[:b.end])
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
			b.lost++
			b.next++
		}
	}
	return true
}

// push makes one system call. For a lone datagram it is the cheaper one, as in adapt.
func (b *outBatch) push(fd uintptr) (int, unix.Errno) {
	if b.next+1 == b.end {
		return sendto(fd, &b.hdrs[b.next])
	}
	return mmsg(unix.SYS_SENDMMSG, fd, b.hdrs[b.next:b.end])
}

// count takes the next n datagrams as sent.
func (b *outBatch) count(n int) {
	for i := range n {
		b.bytes += int(b.hdrs[b.next+i].Len)
	}
	b.sent += n
	b.next += n
}

// mmsg is recvmmsg or sendmmsg, which take the same arguments but for a timeout we leave out.
// It never blocks: the socket may have been made blocking by whoever opened it.
func mmsg(trap, fd uintptr, hdrs []unix.Mmsghdr) (int, unix.Errno) {
	n, _, errno := unix.Syscall6(trap, fd, uintptr(unsafe.Pointer(unsafe.SliceData(hdrs))),
		uintptr(len(hdrs)), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// recvfrom fills h with one datagram, as recvmmsg would.
func recvfrom(fd uintptr, h *unix.Mmsghdr) (int, unix.Errno) {
	const flags = unix.MSG_DONTWAIT | unix.MSG_TRUNC // n is the length before truncation
	n, _, errno := unix.Syscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(h.Hdr.Iov.Base)),
		maxDatagram, flags, uintptr(unsafe.Pointer(h.Hdr.Name)), uintptr(unsafe.Pointer(&h.Hdr.Namelen)))
	if errno != 0 {
		return 0, errno
	}
	h.Len, h.Hdr.Flags = uint32(n), 0
	if n > maxDatagram {
		h.Hdr.Flags = unix.MSG_TRUNC
	}
	return 1, 0
}

// sendto sends the datagram of h, as sendmmsg would.
func sendto(fd uintptr, h *unix.Mmsghdr) (int, unix.Errno) {
	n, _, errno := unix.Syscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(h.Hdr.Iov.Base)),
		uintptr(h.Hdr.Iov.Len), unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(h.Hdr.Name)), uintptr(h.Hdr.Namelen))
	if errno != 0 {
		return 0, errno
	}
	h.Len = uint32(n)
	return 1, 0
}
