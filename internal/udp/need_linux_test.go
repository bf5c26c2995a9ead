package udp

import (
	"flag"
	"net"
	"testing"

	"broach/internal/sandbox"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

var batchesNeeded = flag.Bool("batches", false,
	"fail, rather than skip, what needs system calls that move many datagrams where the kernel refuses these")

// lacking skips a test where the kernel lacks what it needs.
func lacking(t *testing.T, what string) {
	t.Helper()
	if *batchesNeeded {
		t.Fatalf("the kernel, or an emulator of it, refuses %s", what)
	}
	t.Skipf("the kernel, or an emulator of it, refuses %s", what)
}

// openBatches opens two transports that move many datagrams by one call, or skips the test.
func openBatches(t *testing.T) (a, b *batchTransport) {
	t.Helper()
	open := newOpener(t, func(c *net.UDPConn) Transport { return Over(c) })
	a, ok := open("").(*batchTransport)
	if !ok {
		lacking(t, "recvmmsg or sendmmsg")
	}
	return a, open("").(*batchTransport)
}

// openOffload opens transports that send and receive segments, or skips the test.
func openOffload(t *testing.T) (a, b *batchTransport) {
	t.Helper()
	a, b = openBatches(t)
	if a.plain.Load() || !b.in.segmented {
		lacking(t, "UDP_SEGMENT or UDP_GRO")
	}
	return a, b
}

// Found later, a call that is refused would be a node which neither hears nor speaks.
func TestASocketWhoseCallsAreRefusedTakesThePlainPath(t *testing.T) {
	openBatches(t)
	for name, call := range map[string]uint32{
		"recvmmsg": unix.SYS_RECVMMSG, "sendmmsg": unix.SYS_SENDMMSG, "recvmsg": unix.SYS_RECVMSG,
		"recvfrom": unix.SYS_RECVFROM, "sendto": unix.SYS_SENDTO,
	} {
		conn, err := listenUDP("")
		require.NoError(t, err)
		defer conn.Close()
		var batched bool
		refused := make(chan error)
		go func() { // which gives its thread up
			err := sandbox.Refuse(unix.EPERM, call)
			_, batched = newBatchTransport(conn)
			refused <- err
		}()
		if err := <-refused; err != nil {
			t.Skipf("nothing can be refused here: %v", err)
		}
		require.False(t, batched, name)
	}
}
