package udp

import (
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// batchTransport moves up to maxBatch datagrams per system call over a UDP socket. The calls
// go through the raw connection, so that the runtime's poller does the waiting.
type batchTransport struct {
	socket
	raw   syscall.RawConn
	names sockaddrs
	plain atomic.Bool // segments are not sent together
	in    *inBatch    // the reader's
	out   sync.Pool   // of *outBatch, one for each send under way
}

// newBatchTransport reports false where the system refuses one of the calls, as some sandboxes
// and old kernels do; found later, that would be a node which neither hears nor speaks.
func newBatchTransport(conn *net.UDPConn) (Transport, bool) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, false
	}
	family, ok := probeBatching(raw)
	if !ok {
		return nil, false
	}
	t := &batchTransport{raw: raw}
	t.open(conn)
	t.counts.Gathers = true
	o := probeOffload(raw)
	t.in = newInBatch(o.receive)
	t.plain.Store(!o.send)
	t.names.family = family
	t.out.New = func() any { return newOutBatch() }
	return t, true
}

// probeBatching tries the calls with nothing to move and reports the socket's address family.
func probeBatching(raw syscall.RawConn) (family int, ok bool) {
	err := raw.Control(func(fd uintptr) {
		var err error
		family, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN)
		_, sendErr := mmsg(unix.SYS_SENDMMSG, fd, nil)
		_, recvErr := mmsg(unix.SYS_RECVMMSG, fd, nil)
		ok = err == nil && sendErr == 0 && recvErr == 0 && isThere(unix.SYS_SENDTO) && isThere(unix.SYS_RECVFROM) &&
			isThere(unix.SYS_RECVMSG)
	})
	return family, ok && err == nil
}

func (t *batchTransport) Receive(in []Datagram, soon bool) (int, error) {
	t.in.soon = soon
	for {
		if n := t.take(in); n > 0 {
			return n, nil
		}
		if err := t.read(min(len(in), len(t.in.bufs))); err != nil {
			if err := t.readFailed(err); err != nil {
				return 0, err
			}
			continue
		}
		t.faults.clear()
		t.in.adapt()
	}
}

// Waited is about the messages of which some datagrams were left, too.
func (t *batchTransport) Waited() bool { return t.in.calls > 1 }

// read fills the reader's batch with at least one and at most want messages.
func (t *batchTransport) read(want int) error {
	b := t.in
	b.want, b.calls = want, 0
	err := t.raw.Read(b.read)
	t.counts.callsIn.Add(uint64(b.calls))
	if err == nil && b.errno != 0 {
		return os.NewSyscallError("recvmmsg", b.errno)
	}
	return err
}

// take hands datagrams that came whole to the caller, as many as there are and in has room for.
func (t *batchTransport) take(in []Datagram) int {
	n, bytes := 0, 0
	for n < len(in) {
		b, ok := t.in.segments.next()
		switch {
		case !ok:
			if !t.unpack() {
				t.counts.received(n, bytes)
				return n
			}
		case len(b) > MaxDatagram:
			t.counts.Truncated.Add(1)
		default:
			in[n] = Datagram{Addr: t.in.segments.from, B: b}
			bytes += len(b)
			n++
		}
	}
	t.counts.received(n, bytes)
	return n
}

// unpack opens the next message of the batch, and reports false when there is none.
func (t *batchTransport) unpack() bool {
	b, i := t.in, t.in.taken
	if i == b.got {
		return false
	}
	b.taken++
	h := &b.hdrs[i]
	if h.Hdr.Flags&unix.MSG_TRUNC != 0 {
		t.counts.Truncated.Add(1)
		return true
	}
	n := int(h.Len)
	b.segments = segments{true, t.names.consume(&b.names[i]), b.bufs[i][:n],
		b.controls[i].received(int(h.Hdr.Controllen), n)}
	return true
}

func (t *batchTransport) Send(out []Datagram) (sent int, err error) {
	b := t.out.Get().(*outBatch)
	var calls, bytes, lost int
	segmented := !t.plain.Load()
	for len(out) > 0 && err == nil {
		b.load(out[:min(len(out), maxBatch)], &t.names, segmented)
		err = t.write(b)
		b.unload()
		calls, sent, bytes, lost = calls+b.calls, sent+b.sent, bytes+b.bytes, lost+b.lost
		out = out[b.sent+b.lost:]
		segmented = segmented && b.refused == 0
		if b.refused == unix.EIO {
			t.plain.Store(true) // it is the device that cannot
		}
	}
	t.out.Put(b)
	if lost > 0 {
		t.names.forget()
	}
	t.counts.sent(calls, sent, bytes, lost)
	return sent, err
}

// write sends a batch. Control lets all senders into the kernel at once, where Write would let
// in one after the other; on two processors that doubles what they send. Only Write can wait.
func (t *batchTransport) write(b *outBatch) error {
	if err := t.raw.Control(b.try); err != nil || b.next == b.end || b.refused != 0 {
		return err
	}
	return t.raw.Write(b.wait)
}
