package udp

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// scriptedConn is a Conn whose reads and writes fail as a list says, nil meaning that
// they succeed. After its list each goes on with the last entry.
type scriptedConn struct {
	reads, writes []error
	read          int // calls so far
	written       []string
}

var scriptedPeer = netip.MustParseAddrPort("10.1.2.3:4")

func (c *scriptedConn) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	err := nextScripted(&c.reads)
	c.read++
	return copy(b, "heard"), netip.AddrPortFrom(netip.AddrFrom16(scriptedPeer.Addr().As16()), 4), err
}

func (c *scriptedConn) WriteToUDPAddrPort(b []byte, _ netip.AddrPort) (int, error) {
	if err := nextScripted(&c.writes); err != nil {
		return 0, err
	}
	c.written = append(c.written, string(b))
	return len(b), nil
}

func (c *scriptedConn) LocalAddr() net.Addr { return textAddr("10.0.0.1:5") }
func (c *scriptedConn) Close() error        { return nil }

// nextScripted takes the first entry of a list, but leaves the last.
func nextScripted(list *[]error) error {
	l := *list
	if len(l) == 0 {
		return nil
	}
	if len(l) > 1 {
		*list = l[1:]
	}
	return l[0]
}

// textAddr is a net.Addr of somebody else's making.
type textAddr string

func (a textAddr) Network() string { return "scripted" }
func (a textAddr) String() string  { return string(a) }

func TestPlainTransportReadsOnAfterPassingErrors(t *testing.T) {
	refused := &net.OpError{Op: "read", Err: os.NewSyscallError("recvfrom", syscall.ECONNREFUSED)}
	reset := &net.OpError{Op: "read", Err: os.NewSyscallError("wsarecvfrom", syscall.Errno(10054))}
	conn := &scriptedConn{reads: []error{refused, reset, errors.New("hiccup"), nil}}
	for range 1000 {
		conn.reads = append([]error{reset}, conn.reads...) // one for each datagram to a dead peer
	}
	tr := Over(conn)

	got := collectDatagrams(t, tr, 1)[0]
	require.Equal(t, "heard", string(got.B))
	require.Equal(t, scriptedPeer, got.Addr, "unmapped")
	require.EqualValues(t, 1003, tr.Stats().errorsIn.Load())
	require.EqualValues(t, 1004, tr.Stats().callsIn.Load())
}

func TestPlainTransportCountsWindowsTruncation(t *testing.T) {
	long := os.NewSyscallError("wsarecvfrom", syscall.Errno(10040))
	tr := Over(&scriptedConn{reads: []error{long, nil}})
	collectDatagrams(t, tr, 1)
	require.EqualValues(t, 1, tr.Stats().Truncated.Load())
	require.Zero(t, tr.Stats().errorsIn.Load())
}

// "Any other error means that the socket is of no more use."
func TestPlainTransportGivesUpOnAnErrorThatStays(t *testing.T) {
	conn := &scriptedConn{reads: []error{io.ErrUnexpectedEOF}}
	tr := Over(conn)
	_, err := tr.Receive(make([]Datagram, 1), false)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.NotErrorIs(t, err, net.ErrClosed)
	require.Equal(t, maxReadFaults, conn.read, "reads until it gave up")
}

func TestPlainTransportForgivesErrorsThatDoNotStay(t *testing.T) {
	conn := new(scriptedConn)
	for range maxReadFaults {
		conn.reads = append(conn.reads, io.ErrUnexpectedEOF, nil)
	}
	collectDatagrams(t, Over(conn), maxReadFaults)
}

func TestPlainTransportKnowsItsEndInAnyWords(t *testing.T) {
	conn := &scriptedConn{reads: []error{io.EOF}, writes: []error{io.EOF}}
	tr := Over(conn)
	require.NoError(t, tr.Close())

	_, err := tr.Receive(make([]Datagram, 1), false)
	require.ErrorIs(t, err, net.ErrClosed)
	n, err := tr.Send(make([]Datagram, 3))
	require.ErrorIs(t, err, net.ErrClosed)
	require.Zero(t, n)
}

func TestPlainTransportSendsOnAfterAnyErrorButTheEnd(t *testing.T) {
	conn := &scriptedConn{writes: []error{nil, syscall.EPERM, syscall.ECONNREFUSED, nil,
		fmt.Errorf("scripted: %w", net.ErrClosed)}}
	tr := Over(conn)
	n, err := tr.Send(numberedDatagrams(scriptedPeer, 6, 1))
	require.ErrorIs(t, err, net.ErrClosed)
	require.Equal(t, 2, n)
	require.Equal(t, []string{"0", "3"}, conn.written)
	require.EqualValues(t, 2, tr.Stats().ErrorsOut.Load())
	require.EqualValues(t, 2, tr.Stats().BytesOut.Load())
}

func TestBoundAddrReadsForeignAddresses(t *testing.T) {
	require.Equal(t, netip.MustParseAddrPort("10.0.0.1:5"), Over(new(scriptedConn)).LocalAddr())
}
