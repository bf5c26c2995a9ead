package udp

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// mmsgs is a batch as the kernel sees it: each header points to one name, and to one buffer or several, by whoever has
// the batch.
type mmsgs struct {
	hdrs     [maxBatch]unix.Mmsghdr
	names    [maxBatch]unix.RawSockaddrInet6
	controls [maxBatch]segmentControl
}

// link points the headers to their names.
func (m *mmsgs) link() {
	for i := range m.hdrs {
		h := &m.hdrs[i].Hdr
		h.Name = (*byte)(unsafe.Pointer(&m.names[i]))
		h.Namelen = unix.SizeofSockaddrInet6
	}
}

// The calls below never block, so they are made without telling the scheduler, which would wake its monitor thread for
// each after an idle moment: with one caller that measured a tenth of the round trip.

// mmsg is recvmmsg or sendmmsg, which take the same arguments but for a timeout we leave out.
// It never blocks: the socket may have been made blocking by whoever opened it.
func mmsg(trap, fd uintptr, hdrs []unix.Mmsghdr) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(trap, fd, uintptr(unsafe.Pointer(unsafe.SliceData(hdrs))),
		uintptr(len(hdrs)), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// isThere reports whether the kernel has a call for a socket, and lets this process make it: then it finds that there
// is no such socket. Linux before 4.3 lacks some of them for processes of 32 bits.
func isThere(trap uintptr) bool {
	const none = ^uintptr(0)
	_, _, errno := unix.RawSyscall6(trap, none, 0, 0, 0, 0, 0)
	return errno == unix.EBADF
}

// recvmsg fills h as recvmmsg would.
func recvmsg(fd uintptr, h *unix.Mmsghdr) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&h.Hdr)), unix.MSG_DONTWAIT)
	if errno != 0 {
		return 0, errno
	}
	h.Len = uint32(n)
	return 1, 0
}

// recvfrom fills h with one datagram, as recvmmsg would, and is a little cheaper.
func recvfrom(fd uintptr, h *unix.Mmsghdr) (int, unix.Errno) {
	const flags = unix.MSG_DONTWAIT | unix.MSG_TRUNC // n is the length before truncation
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(h.Hdr.Iov.Base)),
		MaxDatagram, flags, uintptr(unsafe.Pointer(h.Hdr.Name)), uintptr(unsafe.Pointer(&h.Hdr.Namelen)))
	if errno != 0 {
		return 0, errno
	}
	h.Len, h.Hdr.Flags = uint32(n), 0
	if n > MaxDatagram {
		h.Hdr.Flags = unix.MSG_TRUNC
	}
	return 1, 0
}

// sendto sends the datagram of h, as sendmmsg would.
func sendto(fd uintptr, h *unix.Mmsghdr) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(h.Hdr.Iov.Base)),
		uintptr(h.Hdr.Iov.Len), unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(h.Hdr.Name)), uintptr(h.Hdr.Namelen))
	if errno != 0 {
		return 0, errno
	}
	h.Len = uint32(n)
	return 1, 0
}
