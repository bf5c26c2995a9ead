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
	iovs      [maxBatch]unix.Iovec // one for each header
	bufs      [][]byte             // of the first headers: as many as were of use so far
	slots     int                  // there are at most
	size      int                  // of each
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

// newInBatch sets one buffer aside: a node that hears little needs no more, and all of them are a mebibyte.
func newInBatch(segmented bool) *inBatch {
	b := &inBatch{segmented: segmented, spare: runtime.GOMAXPROCS(0) > 1, slots: maxBatch, size: MaxDatagram}
	if segmented {
		b.slots, b.size = offloadSlots, maxSegmented
	}
	b.link()
	b.extend(1)
	b.read = b.fill
	return b
}

// extend sets buffers aside, until there are so many.
func (b *inBatch) extend(to int) {
	for i := len(b.bufs); i < min(to, b.slots); i++ {
		b.bufs = append(b.bufs, make([]byte, b.size))
		b.iovs[i].Base = &b.bufs[i][0]
		b.iovs[i].SetLen(b.size)
		b.hdrs[i].Hdr.Iov = &b.iovs[i]
		b.hdrs[i].Hdr.SetIovlen(1)
		b.prepare(i)
	}
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
// lay there already may have others behind it. So may a full batch, and then there are twice as many buffers from now
// on: but for one that was waited for alone, as all are that an idle node hears.
func (b *inBatch) adapt() {
	waited := b.calls > 1
	if !b.lone && b.got == len(b.bufs) && (b.got > 1 || !waited) {
		b.extend(2 * b.got)
	}
	b.lone = b.got == 1 && (waited || !b.lone)
	if !b.since.IsZero() {
		b.patience.note(time.Since(b.since), b.polled)
		b.since, b.polled = time.Time{}, false
	}
}
