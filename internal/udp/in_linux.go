package udp

import (
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// inBatch is the reader's memory. want and soon go in; got, errno and calls come out.
type inBatch struct {
	mmsgs
	bufs      [][]byte
	want      int
	soon      bool // the next message is expected at once
	got       int
	errno     unix.Errno
	calls     int
	lone      bool                  // ask for one message only, by the cheaper call
	segmented bool                  // a message may be many datagrams
	read      func(fd uintptr) bool // fill, bound once: a closure per call would allocate

	spare    bool // there is more than one processor: whom the reader waits for may run while it polls
	patience patience
	since    time.Time // when the present wait began, if it is one that patience learns from
	polled   bool      // in that wait

	taken    int // messages that were taken apart
	segments segments
}

// newInBatch sets aside about a mebibyte with segmentation, half of it without.
func newInBatch(segmented bool) *inBatch {
	b := &inBatch{segmented: segmented, spare: runtime.GOMAXPROCS(0) > 1}
	b.link()
	slots, size := maxBatch, MaxDatagram
	if segmented {
		slots, size = offloadSlots, maxSegmented
	}
	for i := range slots {
		b.bufs = append(b.bufs, make([]byte, size))
		b.iovs[i].Base = &b.bufs[i][0]
		b.iovs[i].SetLen(size)
		b.prepare(i)
	}
	b.read = b.fill
	return b
}

// prepare says how much room a message has.
func (b *inBatch) prepare(i int) {
	h := &b.hdrs[i].Hdr
	h.Namelen = unix.SizeofSockaddrInet6
	if b.segmented {
		h.Control = (*byte)(unsafe.Pointer(&b.controls[i]))
		h.SetControllen(int(unsafe.Sizeof(b.controls[i])))
	}
}

// fill reports false if nothing is there and the poller shall wait.
func (b *inBatch) fill(fd uintptr) bool {
	for i := range b.got {
		b.prepare(i) // the kernel left the lengths it used
	}
	b.taken = 0
	b.ask(fd)
	if b.errno == unix.EAGAIN && b.calls == 1 && b.soon {
		b.poll(fd)
	}
	return b.errno != unix.EAGAIN
}

// ask makes the system call.
func (b *inBatch) ask(fd uintptr) {
	b.calls++
	switch {
	case !b.lone:
		b.got, b.errno = mmsg(unix.SYS_RECVMMSG, fd, b.hdrs[:b.want])
	case b.segmented:
		b.got, b.errno = recvmsg(fd, &b.hdrs[0])
	default:
		b.got, b.errno = recvfrom(fd, &b.hdrs[0])
	}
}

// poll asks again and again for a while if that has paid. All other goroutines go first.
func (b *inBatch) poll(fd uintptr) {
	b.since, b.polled = time.Now(), b.spare && b.patience.polls()
	for b.polled && b.errno == unix.EAGAIN && time.Since(b.since) < pollFor {
		runtime.Gosched()
		b.ask(fd)
	}
}

// adapt chooses the next call. A peer that asks and waits sends messages which come alone and
// have to be waited for; a batch of one makes each of its round trips a tenth slower. One that
// lay there already may have others behind it.
func (b *inBatch) adapt() {
	waited := b.calls > 1
	b.lone = b.got == 1 && (waited || !b.lone)
	if !b.since.IsZero() {
		b.patience.note(time.Since(b.since), b.polled)
		b.since, b.polled = time.Time{}, false
	}
}
