// Package udp moves batches of datagrams between a node and the network. It knows nothing of what is in them: no
// header, no peer, no key.
//
// Where the system has batch calls (Linux), one call moves up to 64 datagrams, and segmentation offload lets the kernel
// cut one buffer into many datagrams of one size (offload_linux.go). Where it has not, or refuses them, as some
// sandboxes do, the same Transport moves them one by one (plain.go), and so it does over any Conn that is no socket of
// the system. Which of the two it is nobody above can tell but by speed.
//
// A datagram that the system refuses is lost, as UDP may lose any, and counted. Only a socket that is of no more use is
// an error. Addresses are unmapped on their way in: an IPv4 peer is an IPv4 address, whatever the socket.
//
// Tests of batches skip where the kernel refuses these; with -batches they fail instead.
//
// In reading order:
//
//	udp.go             Transport, and which one a socket gets
//	plain.go           one datagram at a time
//	faults.go          which errors of a socket pass, and which end it
//	batch_linux.go     many at a time; batch_other.go: where there is no such thing
//	in_linux.go        receiving, out_linux.go sending, mmsgs_linux.go and sockaddr_linux.go their layouts
//	offload_linux.go   one buffer, many datagrams
//	refusals.go        what the system says of sending to an address
//	poll.go            when it is worth to poll for what comes next, instead of sleeping
//	buffer*.go         the buffers of the socket; whole_*.go and broadcast_*.go: options of it
package udp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
)

const (
	// MaxDatagram is the largest payload a transport takes from the network, in bytes: the largest MaxPacket that a
	// peer may be configured with. Three of them are the most that Linux takes as one message, and a message is what
	// costs; larger ones would gain nothing, and each that is lost would be more to send again.
	MaxDatagram = maxGathered / 3

	// maxGathered is the most bytes in a message that is sent: what IPv6 leaves is less than IPv4.
	maxGathered = 65507 - 20

	// cutDatagram passes nearly everywhere without being cut: it is an Ethernet frame of 1,500 less IPv6 and UDP
	// headers, and room for a tunnel's.
	cutDatagram = 1400

	// maxBatch is the most datagrams moved by one system call. Nearly all of the gain is there
	// at 16; beyond 64 a datagram would only wait longer for those taken with it.
	maxBatch = 64
)

// A Conn is what a transport needs of a socket that it did not open; *net.UDPConn has it.
type Conn interface {
	ReadFromUDPAddrPort(b []byte) (n int, addr netip.AddrPort, err error)
	WriteToUDPAddrPort(b []byte, addr netip.AddrPort) (int, error)
	LocalAddr() net.Addr
	Close() error
}

// Datagram is one UDP payload and the peer it comes from or goes to.
type Datagram struct {
	Addr netip.AddrPort
	B    []byte
	Tail []byte // goes on behind B, of what is sent by a Transport that gathers

	// It is sent as it is to be received, by itself: on their way within a machine, datagrams that the system was given
	// together may pass where each alone would be too long.
	Alone   bool
	TooLong bool // set by Send: the system refused it, for its device takes no datagram as long
}

// Len is how many bytes it has.
func (d *Datagram) Len() int { return len(d.B) + len(d.Tail) }

// Transport moves batches of datagrams between the node and the network.
type Transport interface {
	// Receive blocks until at least one datagram has come, fills in[:n] and returns n.
	// The payloads lie in memory of the transport and are valid until the next Receive.
	// Addresses are unmapped: an IPv4 peer is an IPv4 address, whatever the socket.
	// After Close the error is one for which errors.Is(err, net.ErrClosed) holds; any other
	// error means that the socket is of no more use. One goroutine at a time may call it,
	// and in must not be empty. soon says that what comes next is expected at once: it may
	// be polled for instead of slept for.
	Receive(in []Datagram, soon bool) (n int, err error)

	// Waited reports whether the last Receive had to wait, or may have had to: false says that
	// what it brought lay there already. It is for the goroutine that called it.
	Waited() bool

	// Send writes all datagrams and returns how many the system took. One that it refuses
	// is lost, as UDP may lose any, and counted; only a closed socket is an error, one for
	// which errors.Is(err, net.ErrClosed) holds. It is safe for concurrent use, keeps
	// nothing of out, and changes nothing of it but TooLong.
	Send(out []Datagram) (n int, err error)

	// LocalAddr is the bound address, unmapped.
	LocalAddr() netip.AddrPort

	// Stats are the live counters.
	Stats() *Stats

	// Close wakes Receive and every Send. A second close may return net.ErrClosed.
	Close() error
}

// Stats counts what a transport did since it was opened. Reading it needs no lock.
type Stats struct {
	Whole         bool // datagrams go whole or not at all, [PATH-8]; else the system may cut them into IP fragments
	ReceiveBuffer int  // bytes that may wait in the socket to be received; 0: not known
	Gathers       bool // datagrams may have a Tail. None of the three changes

	DatagramsIn, BytesIn   atomic.Uint64
	DatagramsOut, BytesOut atomic.Uint64
	callsIn, callsOut      atomic.Uint64 // system calls, those that moved nothing included
	errorsIn, ErrorsOut    atomic.Uint64 // passing receive errors; datagrams refused by the system
	Truncated              atomic.Uint64 // datagrams over MaxDatagram, dropped
}

// Largest is the largest datagram that is worth to be tried, in bytes. Where the system cuts up what is too long for
// the path, all that is tried seems to pass.
func (s *Stats) Largest() int {
	if s.Whole {
		return MaxDatagram
	}
	return cutDatagram
}

// received counts one call of Receive.
func (s *Stats) received(datagrams, bytes int) {
	s.DatagramsIn.Add(uint64(datagrams))
	s.BytesIn.Add(uint64(bytes))
}

// sent counts one call of Send.
func (s *Stats) sent(calls, datagrams, bytes, lost int) {
	s.callsOut.Add(uint64(calls))
	s.DatagramsOut.Add(uint64(datagrams))
	s.BytesOut.Add(uint64(bytes))
	s.ErrorsOut.Add(uint64(lost))
}

// Open binds addr, "ip:port"; "" is "127.0.0.1:0", and port 0 picks a free one.
// An IPv4 address takes IPv4 only; "[::]:port" takes both families where the system can.
// It asks for large socket buffers, and says once per process if the system gave less, with arguments as slog has them.
func Open(addr string, say func(text string, args ...any)) (Transport, error) {
	conn, err := listenUDP(addr)
	if err != nil {
		return nil, err
	}
	askBuffers(conn, say)
	sendWhole(conn)
	sendToOne(conn)
	return Over(conn), nil
}

// listenUDP opens the socket of Open.
func listenUDP(addr string) (*net.UDPConn, error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, fmt.Errorf("bind address is not ip:port: %w", err)
	}
	ap = Unmapped(ap)
	network := "udp"
	if ap.Addr().Is4() {
		network = "udp4" // package net would turn 0.0.0.0 into [::]
	}
	conn, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(ap))
	if err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	return conn, nil
}

// Over makes a transport of a connection that is already open. A *net.UDPConn,
// which must not be connected, gets the batched system calls where there are any; anything
// else is read and written one datagram at a time. Socket buffers are left as they are.
func Over(conn Conn) Transport {
	if u, ok := conn.(*net.UDPConn); ok {
		if t, ok := newBatchTransport(u); ok {
			return t
		}
	}
	return newPlainTransport(conn)
}

// socket is what both kinds of transport share: an open connection, its counters and its end.
type socket struct {
	conn   Conn
	local  netip.AddrPort
	counts Stats
	closed atomic.Bool
	faults readFaults // the reader's
}

// open looks what kind of connection it is.
func (s *socket) open(conn Conn) {
	s.conn, s.local = conn, boundAddr(conn)
	s.counts.Whole, s.counts.ReceiveBuffer = isWhole(conn), receiveBufferOf(conn)
}

func (s *socket) LocalAddr() netip.AddrPort { return s.local }

func (s *socket) Stats() *Stats { return &s.counts }

func (s *socket) Close() error {
	s.closed.Store(true)
	return s.conn.Close()
}

// isClosed knows the end of a connection even where its owner words it in his own way.
func (s *socket) isClosed(err error) bool {
	return s.closed.Load() || errors.Is(err, net.ErrClosed)
}

// readFailed returns nil if reading may go on after err.
func (s *socket) readFailed(err error) error {
	if s.isClosed(err) {
		return net.ErrClosed
	}
	if errors.Is(err, wsaMessageTooLong) {
		s.counts.Truncated.Add(1)
		return nil
	}
	s.counts.errorsIn.Add(1)
	return s.faults.judge(err)
}

// boundAddr is the unmapped local address of conn, invalid if it is not one of IP.
func boundAddr(conn Conn) netip.AddrPort {
	if a, ok := conn.LocalAddr().(interface{ AddrPort() netip.AddrPort }); ok {
		return Unmapped(a.AddrPort())
	}
	ap, _ := netip.ParseAddrPort(conn.LocalAddr().String())
	return Unmapped(ap)
}

// Unmapped is the one form in which peers are compared: IPv4 addresses never as IPv6.
func Unmapped(ap netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
