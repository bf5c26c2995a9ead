package broach

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"broach/internal/udp"
)

// PacketConn is what a node needs of a socket; *net.UDPConn has it. It must be safe for concurrent use and must not
// keep b after a call. Close ends a read under way with an error; the node calls it when it is closed itself.
type PacketConn interface {
	ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error)
	WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error)
	LocalAddr() net.Addr
	Close() error
}

// open gives the transport that the node stands on.
func (c *Config) open(log *journal) (udp.Transport, error) {
	if c.Conn != nil {
		return udp.Over(c.Conn), nil
	}
	t, err := udp.Open(c.addr().String(), log.Info)
	if err != nil {
		return nil, fmt.Errorf("broach: config: Addr: %q: %w (in a file it is params.rpcIp and params.rpcPort,"+
			" in the environment BROACH_ADDR)", c.addr(), err)
	}
	return t, nil
}

// read runs until the socket is closed, or until another goroutine has taken the reader over.
func (r *reader) read() {
	for r.finish() {
		k, err := r.linking.transport.Receive(r.in, r.soon)
		if err != nil {
			r.stopped(err)
			return
		}
		now := time.Now()
		r.soon = false
		r.pressure.note(r.linking.transport.Waited())
		r.linking.gate.Begin(now)
		for i := range r.in[:k] {
			r.datagram(now, r.in[i])
		}
	}
}

// socketClosed ends the node if it was not closed but lost its socket. The reader is done.
func (n *Node) socketClosed(err error) {
	n.deaf.Store(true)
	n.suggest(func(time.Time) {}) // it need not say goodbye
	if !n.isClosed() {
		n.log.Error("broach: the socket failed; the node closes", "err", err)
		go n.Close()
	}
	n.running.Done()
}

// finish ends a batch: quick functions run, workers wake once, each link flushes once, the loop is told. It reports
// whether the reader is still this goroutine's.
func (r *reader) finish() bool {
	if !r.runQuick() {
		return false
	}
	if r.toKick {
		r.serving.pool.Kick()
		r.toKick = false
	}
	for i, l := range r.held {
		l.Unhold()
		r.held[i] = nil
	}
	r.held = r.held[:0]
	r.answers = sendAndFree(r.linking.transport, r.answers)
	r.passOn()
	return true
}
