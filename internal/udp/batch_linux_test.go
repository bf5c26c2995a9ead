package udp

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestBatchTransportIsTheOneForSockets(t *testing.T) {
	openBatches(t)
	tr, err := Open("", nobody)
	require.NoError(t, err)
	defer tr.Close()
	require.IsType(t, new(batchTransport), tr)
}

func TestBatchTransportLeavesAClosedSocketToThePlainPath(t *testing.T) {
	conn, err := listenUDP("")
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	_, ok := newBatchTransport(conn)
	require.False(t, ok)
}

func TestBatchTransportMakesOneCallForABatch(t *testing.T) {
	a, b := openBatches(t)
	mustSendAll(t, a, numberedDatagrams(b.LocalAddr(), maxBatch, 16))
	require.EqualValues(t, 1, a.Stats().callsOut.Load())
	mustSendAll(t, a, numberedDatagrams(b.LocalAddr(), maxBatch+1, 16))
	require.EqualValues(t, 3, a.Stats().callsOut.Load())
	collectDatagrams(t, b, 2*maxBatch+1)
}

func TestOutBatchKeepsNoPayload(t *testing.T) {
	b, names := newOutBatch(), &sockaddrs{family: unix.AF_INET}
	out := numberedDatagrams(scriptedPeer, 5, 8)
	out[1].Tail, out[4].Tail = make([]byte, 8), make([]byte, 8)
	b.load(out, names, true)
	require.NotNil(t, b.pieces[6].Base)
	b.unload()
	for i := range b.pieces {
		require.Nil(t, b.pieces[i].Base, "buffer %d", i)
	}
}

// A socket whose buffer is full takes part of a batch. A pair of local sockets shows it without
// a network: the sender waits for the receiver, and nothing is lost or sent twice.
func TestOutBatchWaitsForRoomAndGoesOn(t *testing.T) {
	openBatches(t)
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	require.NoError(t, err)
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	require.NoError(t, unix.SetsockoptInt(fds[0], unix.SOL_SOCKET, unix.SO_SNDBUF, 1)) // the least there is
	b := newOutBatch()
	b.load(numberedDatagrams(scriptedPeer, maxBatch, 512), &sockaddrs{family: unix.AF_INET}, false)
	for i := range b.hdrs {
		b.hdrs[i].Hdr.Namelen, b.hdrs[i].Hdr.Name = 0, nil // the pair knows its peer
	}

	buf, received := make([]byte, 1024), 0
	for rounds := 1; !b.drain(uintptr(fds[0])); rounds++ {
		require.Less(t, b.next, maxBatch, "it waits only while something is left")
		require.LessOrEqual(t, rounds, maxBatch, "each round makes progress")
		received = drainPair(t, fds[1], buf, received)
	}
	require.NotZero(t, received, "the buffer was never full, the test proves nothing")
	require.Equal(t, maxBatch, drainPair(t, fds[1], buf, received))
	require.Equal(t, maxBatch, b.sent)
	require.Zero(t, b.lost)
}

// drainPair reads what is there, expecting datagrams numbered from received, and returns the
// number of the next.
func drainPair(t *testing.T, fd int, buf []byte, received int) int {
	for {
		n, err := unix.Read(fd, buf)
		if err == unix.EAGAIN {
			return received
		}
		require.NoError(t, err)
		number, err := strconv.Atoi(string(buf[:n]))
		require.NoError(t, err)
		require.Equal(t, received, number)
		received++
	}
}

// localTransport sends over one of a pair of local sockets with the smallest buffer there is:
// unlike UDP on loopback, it makes the sender wait for its reader, which is the other one.
func localTransport(t *testing.T) (Transport, net.Conn) {
	openBatches(t)
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	var conns [2]net.Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "pair")
		conns[i], err = net.FileConn(f)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		t.Cleanup(func() { _ = conns[i].Close() })
	}
	conn := conns[0].(*net.UnixConn)
	require.NoError(t, conn.SetWriteBuffer(1))
	require.NoError(t, conns[1].SetDeadline(time.Now().Add(30*time.Second)))
	raw, err := conn.SyscallConn()
	require.NoError(t, err)
	tr := &batchTransport{socket: socket{conn: localConn{pair: conn}}, raw: raw}
	tr.out.New = func() any {
		b := newOutBatch()
		for i := range b.hdrs {
			b.hdrs[i].Hdr.Name = nil // the pair knows its peer
		}
		return b
	}
	return tr, conns[1]
}

// localConn is as much of a Conn as closing a local socket needs.
type localConn struct {
	Conn
	pair net.Conn
}

func (c localConn) Close() error { return c.pair.Close() }

func TestBatchTransportWaitsForASlowReader(t *testing.T) {
	tr, reader := localTransport(t)
	out := numberedDatagrams(scriptedPeer, 3*maxBatch+1, 512)
	sentc := make(chan error)
	go func() {
		n, err := tr.Send(out)
		if n != len(out) && err == nil {
			err = fmt.Errorf("sent %d of %d", n, len(out))
		}
		sentc <- err
	}()
	buf := make([]byte, 1024)
	for _, d := range out {
		n, err := reader.Read(buf)
		require.NoError(t, err)
		require.Equal(t, string(d.B), string(buf[:n]))
	}
	require.NoError(t, <-sentc)
}

// "close wakes receive and every send."
func TestBatchTransportCloseWakesAWaitingSender(t *testing.T) {
	tr, _ := localTransport(t)
	sentc := make(chan error)
	go func() {
		sentc <- nil // about to send more than the buffer holds
		_, err := tr.Send(numberedDatagrams(scriptedPeer, maxBatch, 512))
		sentc <- err
	}()
	<-sentc
	require.NoError(t, tr.Close())
	require.ErrorIs(t, <-sentc, net.ErrClosed)
}

func TestBatchTransportSeesTruncationOfALoneDatagram(t *testing.T) {
	a, b := openBatches(t)
	b.in.lone = true
	mustSendAll(t, a, numberedDatagrams(b.LocalAddr(), 1, MaxDatagram+1))
	mustSendAll(t, a, numberedDatagrams(b.LocalAddr(), 1, 3))
	require.Equal(t, []string{"000"}, payloadsOf(collectDatagrams(t, b, 1)))
	require.EqualValues(t, 1, b.Stats().Truncated.Load())
}

func TestInBatchChoosesTheCallByWhatCame(t *testing.T) {
	for _, c := range []struct {
		story string
		calls int // 2: the first found nothing, and the reader waited
		got   int
		was   bool
		lone  bool
	}{
		{"one came alone", 1, 1, false, true},
		{"one came alone, after a wait", 2, 1, false, true},
		{"the next had to be waited for too", 2, 1, true, true},
		{"the next lay there already", 1, 1, true, false},
		{"several came", 1, 2, false, false},
		{"several came, after a wait", 2, 64, false, false},
	} {
		b := inBatch{calls: c.calls, got: c.got, lone: c.was}
		b.adapt()
		require.Equal(t, c.lone, b.lone, c.story)
	}
}

// A reader polls an empty socket if the next datagram is expected soon, another processor is there, and polling has
// paid.
func TestInBatchPolls(t *testing.T) {
	tr, _ := openBatches(t)
	calls := func(soon, spare, short bool) int {
		b := tr.in
		b.soon, b.spare, b.patience, b.calls, b.want = soon, spare, patience{short: short}, 0, 1
		err := tr.raw.Control(func(fd uintptr) { require.False(t, b.fill(fd)) })
		require.NoError(t, err)
		return b.calls
	}
	for range 10 {
		require.Equal(t, 1, calls(false, true, true))
		require.Equal(t, 1, calls(true, false, true))
		require.Equal(t, 1, calls(true, true, false))
	}
	for calls(true, true, true) == 1 { // this process may be stopped for so long that there is no time left to poll
	}
}

// A crowd behind a lone datagram is found by the call after it.
func TestBatchTransportGoesBackToBatches(t *testing.T) {
	a, b := openBatches(t)
	mustSendAll(t, a, numberedDatagrams(b.LocalAddr(), 1, 16))
	collectDatagrams(t, b, 1)
	require.True(t, b.in.lone)

	out := numberedDatagrams(b.LocalAddr(), 1+maxBatch, 16)
	mustSendAll(t, a, out)
	before := b.Stats().callsIn.Load()
	require.ElementsMatch(t, payloadsOf(out), payloadsOf(collectDatagrams(t, b, len(out))))
	require.Less(t, b.Stats().callsIn.Load()-before, uint64(len(out)), "calls for %d datagrams", len(out))
}

// An interface that was made anew has another index; the first sign of it is a datagram refused.
func TestBatchTransportForgetsZonesWhenADatagramIsRefused(t *testing.T) {
	a, b := openBatches(t)
	names := &a.names
	names.remember("eth0", 7)
	mustSendAll(t, a, numberedDatagrams(b.LocalAddr(), 1, 16))
	require.NotNil(t, names.indexes.Load())

	_, err := a.Send(numberedDatagrams(b.LocalAddr(), 1, 70_000))
	require.NoError(t, err)
	require.Nil(t, names.indexes.Load())
}

// A datagram in two pieces arrives as one, wherever it stands among others, by itself, and where its socket takes no
// segments.
func TestBatchTransportGathers(t *testing.T) {
	for _, plain := range []bool{false, true} {
		a, b := openBatches(t)
		require.True(t, a.Stats().Gathers)
		a.plain.Store(plain || a.plain.Load())
		var out, want []Datagram
		for i := range maxBatch {
			whole := numberedDatagrams(b.LocalAddr(), i+1, 900)[i]
			want = append(want, whole)
			if i%5 != 1 {
				whole.B, whole.Tail = whole.B[:i], whole.B[i:]
			}
			out = append(out, whole)
		}
		mustSendAll(t, a, out)
		mustSendAll(t, a, out[2:3])
		got := collectDatagrams(t, b, maxBatch+1)
		require.ElementsMatch(t, payloadsOf(append(want, want[2])), payloadsOf(got))
		require.EqualValues(t, (maxBatch+1)*900, a.Stats().BytesOut.Load())
	}
}
