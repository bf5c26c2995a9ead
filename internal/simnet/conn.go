package simnet

import (
	"errors"
	"math"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

const (
	// defaultQueue is the limit of a receive queue in datagrams, several times what Linux has room for by default:
	// overflow is a fault that a test asks for.
	defaultQueue = 4096

	// maxPayload is the most that fits into a datagram over IPv4: 65,535 bytes less the headers of IP and UDP.
	maxPayload = 65507
)

var errTooLong = errors.New("message too long")

// Conn is a socket of one node. Its methods are safe for concurrent use.
type Conn struct {
	net    *Network
	host   *host
	closed atomic.Bool // set under host.in.mu, as is pause; writers read both without it
	pause  atomic.Pointer[pause]

	// timer fires when a reader has something to do. It has one tick for all readers: who takes it arms it for the
	// others.
	timer *time.Timer

	// Guarded by host.in.mu.
	queue queue // arrived and not yet read
	limit int   // of queue
}

// A pause is the time in which a process is stopped.
type pause struct {
	overc chan struct{} // closed when it is over, also because the conn is closed
}

func newConn(n *Network, h *host) *Conn {
	c := &Conn{net: n, host: h, limit: defaultQueue, timer: time.NewTimer(math.MaxInt64)}
	c.timer.Stop()
	return c
}

// LocalAddr returns the address of the conn, a *net.UDPAddr.
func (c *Conn) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(c.host.addr) }

// SetQueueLimit sets how many datagrams may wait to be read; those that arrive at a full queue are dropped. The default
// is 4,096.
func (c *Conn) SetQueueLimit(limit int) {
	in := &c.host.in
	in.mu.Lock()
	defer in.mu.Unlock()
	in.settle(c.net.now())
	c.limit = limit
}

// ReadFromUDPAddrPort waits for a datagram, copies its payload to b and returns its length and its sender.
// What does not fit into b is lost. After Close the error matches net.ErrClosed, also for datagrams that had arrived.
func (c *Conn) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	d := c.take()
	if d == nil {
		return 0, netip.AddrPort{}, c.fail("read", net.ErrClosed)
	}
	defer d.free()
	return copy(b, d.payload), d.from, nil
}

// take waits for the next datagram; it returns nil once c is closed.
func (c *Conn) take() *datagram {
	for {
		d, ok := c.poll()
		if ok {
			return d
		}
		<-c.timer.C
	}
}

// poll returns the next datagram, or nil if c is closed. If there is neither, it is false and the caller has to wait
// for the timer.
func (c *Conn) poll() (d *datagram, ok bool) {
	in := &c.host.in
	in.mu.Lock()
	defer in.mu.Unlock()
	now := c.net.now()
	in.settle(now)
	ok = c.closed.Load()
	if !ok && c.pause.Load() == nil && c.queue.len > 0 {
		d, ok = c.queue.pop(), true
	}
	c.arm(now)
	return d, ok
}

// arm sets the timer to the moment at which a reader has something to do; the caller holds host.in.mu.
func (c *Conn) arm(now int64) {
	in := &c.host.in
	switch {
	case c.closed.Load():
		c.timer.Reset(0)
	case c.pause.Load() != nil:
		c.timer.Stop()
	case c.queue.len > 0:
		c.timer.Reset(0)
	case len(in.flying) > 0:
		c.timer.Reset(time.Duration(in.due() - now))
	default:
		c.timer.Stop()
	}
}

// WriteToUDPAddrPort sends a copy of b, and waits for nothing but the end of a pause. The error matches net.ErrClosed
// after Close; a payload of more than 65,507 bytes is an error too. All else that can happen to a datagram is no error,
// as with UDP.
func (c *Conn) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	for p := c.pause.Load(); p != nil; p = c.pause.Load() {
		<-p.overc
	}
	switch {
	case c.closed.Load():
		return 0, c.fail("write", net.ErrClosed)
	case len(b) > maxPayload:
		return 0, c.fail("write", errTooLong)
	default:
		c.net.send(c.host, unmap(to), b)
	}
	return len(b), nil
}

// send sends a datagram, shows it to the tap, and lets it meet its fate.
func (n *Network) send(from *host, addr netip.AddrPort, b []byte) {
	if tap := n.tap.Load(); tap != nil {
		(*tap)(time.Now(), from.addr, addr, b)
	}
	to := n.hosts.at(addr)
	fate := n.plan(from, to, len(b), n.isPicked(from.addr, addr, b))
	if fate.at != 0 {
		to.in.send(newDatagram(from.addr, original, fate.count, fate.at, b), n.now())
	}
	if fate.again != 0 {
		to.in.send(newDatagram(from.addr, duplicate, fate.count, fate.again, b), n.now())
	}
}

// Close frees the address and ends all reads with an error. What has arrived and was not read is lost; what is in
// flight arrives at whoever listens then. Closing a second time is an error that matches net.ErrClosed.
func (c *Conn) Close() error {
	if !c.host.in.detach(c) {
		return c.fail("close", net.ErrClosed)
	}
	return nil
}

func (c *Conn) fail(op string, err error) error {
	return &net.OpError{Op: op, Net: "udp", Source: c.LocalAddr(), Err: err}
}
