package broach

import (
	"net"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestBatchTransportIsTheOneForSockets(t *testing.T) {
	tr, err := openUDP("", quiet)
	require.NoError(t, err)
	defer tr.close()
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
	open := newOpener(t, func(c *net.UDPConn) transport { return newPacketTransport(c) })
	a, b := open(""), open("")
	mustSend(t, a, numbered(b.localAddr(), maxBatch, 16))
	require.EqualValues(t, 1, a.stats().callsOut.Load())
	mustSend(t, a, numbered(b.localAddr(), maxBatch+1, 16))
	require.EqualValues(t, 3, a.stats().callsOut.Load())
	collect(t, b, 2*maxBatch+1)
}

func TestOutBatchKeepsNoPayload(t *testing.T) {
	b, names := newOutBatch(), &sockaddrs{family: unix.AF_INET}
	b.load(numbered(scriptedPeer, 5, 8), names)
	require.NotNil(t, b.iovs[4].Base)
	b.unload()
	for i := range b.iovs {
		require.Nil(t, b.iovs[i].Base, "buffer %d", i)
	}
}

// A socket whose buffer is full takes part of a batch. A pair of local sockets shows it without
// a network: the sender waits for the receiver, and nothing is lost or sent twice.
func TestOutBatchWaitsForRoomAndGoesOn(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	require.NoError(t, err)
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	require.NoError(t, unix.SetsockoptInt(fds[0], unix.SOL_SOCKET, unix.SO_SNDBUF, 1)) // the least there is
	b := newOutBatch()
	b.load(numbered(scriptedPeer, maxBatch, 512), &sockaddrs{family: unix.AF_INET})
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
