// Package simnet is a network of datagrams in memory, for tests of programs that speak UDP.
//
//	synctest.Test(t, func(t *testing.T) {
//		n := simnet.New(1)
//		defer n.Close()
//		n.SetDefault(simnet.Link{Loss: 0.05, Delay: time.Millisecond, Jitter: time.Millisecond})
//		a, err := n.Listen(netip.MustParseAddrPort("10.0.0.1:7000"))
//		...
//	})
//
// A [Conn] has the four methods of *net.UDPConn that such a program needs. In a bubble of testing/synctest the network
// runs in the bubble's virtual time, else in real time; it starts no goroutine. Create the network, and use it, in one
// bubble.
//
// # Reproducible runs
//
// In a bubble, every node meets the same datagrams at the same nanoseconds in each run with the same seed, however the
// goroutines of different nodes interleave, provided that each node writes to a peer in an order of its own making:
//
//   - Chance is a hash of the seed, sender, receiver and the count of datagrams that the sender wrote to that receiver.
//     No generator is shared, so that traffic elsewhere changes nothing.
//   - A node is reached by at most one datagram per nanosecond. Those that fall together are put in the order of their
//     senders' addresses and counts, each one nanosecond after the other.
//   - Every datagram takes a drawn part of a microsecond longer than its link says. Otherwise it would arrive, with
//     round delays, at the very instant of its receiver's ticks, and synctest runs what falls on one instant in random
//     order.
//   - Nothing arrives at the instant at which it was written.
//   - A datagram goes to an address. Who listens there is asked when it arrives, so that it does not matter which of
//     two nodes started at one instant was first.
//
// A fault set in the middle of a run (a cut, a pause, another link) holds from the call on. Nodes that write at that
// very instant race with it, so set faults at odd times, such as 10 s and 1 ns.
//
// # Limits
//
// The network keeps a small record of each address ever written to, and 24 bytes for each pair of sender and receiver.
package simnet

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// The ports that port 0 stands for, those that RFC 6335 leaves for such use.
const (
	firstFreePort = 49152
	freePorts     = 1<<16 - firstFreePort
)

var (
	errAddress = errors.New("not an address of one node")
	errNoPort  = errors.New("no free port")
)

// Network connects its conns. Its methods are safe for concurrent use.
type Network struct {
	seed  uint64
	start time.Time
	hosts hosts
	// forger sends what Inject is given; it has no address and its own counts, so that an attack does not change the
	// luck of the node it impersonates.
	forger *host

	standard atomic.Pointer[Link]
	cuts     atomic.Pointer[[]cut]
	tap      atomic.Pointer[tapFunc]
	pick     atomic.Pointer[pickFunc]

	mu       sync.Mutex // guards what follows, and changes of cuts
	closed   bool
	nextPort uint16 // offset from firstFreePort at which the search for a free port goes on
}

// New returns a network without faults. The seed decides all that is left to chance.
func New(seed uint64) *Network {
	n := &Network{seed: seed, start: time.Now(), forger: &host{}}
	n.SetDefault(Link{})
	return n
}

// now is the age of the network in nanoseconds.
func (n *Network) now() int64 { return int64(time.Since(n.start)) }

// Listen returns a conn at addr, which must be the address of one node: the unspecified address is refused.
// With port 0 it picks a free port; conns opened one after the other get the same ports in each run.
// The error matches syscall.EADDRINUSE if another conn is open at addr, and net.ErrClosed after Close.
// When that conn is closed, its address can be listened on again, as by a restarted process.
func (n *Network) Listen(addr netip.AddrPort) (*Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c, err := n.listen(unmap(addr))
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "udp", Source: net.UDPAddrFromAddrPort(addr), Err: err}
	}
	return c, nil
}

// listen is Listen with n.mu held.
func (n *Network) listen(addr netip.AddrPort) (*Conn, error) {
	switch {
	case n.closed:
		return nil, net.ErrClosed
	case !addr.IsValid() || addr.Addr().IsUnspecified():
		return nil, errAddress
	case addr.Port() == 0:
		return n.listenAnyPort(addr.Addr())
	}
	c := newConn(n, n.hosts.at(addr))
	if !c.host.in.attach(c) {
		return nil, syscall.EADDRINUSE
	}
	return c, nil
}

// listenAnyPort goes on where the last search ended: a port just closed is not given to a stranger at once.
func (n *Network) listenAnyPort(ip netip.Addr) (*Conn, error) {
	for range freePorts {
		port := firstFreePort + n.nextPort
		n.nextPort = (n.nextPort + 1) % freePorts
		c, err := n.listen(netip.AddrPortFrom(ip, port))
		if err != syscall.EADDRINUSE {
			return c, err
		}
	}
	return nil, errNoPort
}

// Close closes all conns of the network. What is in flight is lost.
func (n *Network) Close() {
	n.mu.Lock()
	n.closed = true
	n.mu.Unlock()
	for _, h := range n.hosts.all() {
		if c := h.in.listener(); c != nil {
			c.Close() // an error says that its user was quicker
		}
	}
}

// unmap makes an IPv4 address written as IPv6 the address it means, as a socket for both families does.
func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
