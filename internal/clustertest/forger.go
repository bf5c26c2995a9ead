package clustertest

import (
	"bytes"
	"net/netip"
	"sync"

	"broach"
	"broach/internal/simnet"
)

// Forger is the socket of a node whose datagrams say something else than the node does, as those of a program that
// breaks the rules. The node must not seal them.
type Forger struct {
	*simnet.Conn

	mu      sync.Mutex // protects all below: the test sets them, and whoever writes reads
	was, is []byte     // of one length
}

// StartForger starts node i with such a socket.
func (c *Cluster) StartForger(i int, join ...int) (*broach.Node, *Forger) {
	f := &Forger{}
	n := c.StartWith(i, func(cfg *broach.Config) {
		f.Conn = cfg.Conn.(*simnet.Conn)
		cfg.Conn = f
	}, join...)
	return n, f
}

// Say puts some bytes in the place of others from now on.
func (f *Forger) Say(is, insteadOf []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.is, f.was = is, insteadOf
}

func (f *Forger) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	f.mu.Lock()
	was, is := f.was, f.is
	f.mu.Unlock()
	if len(was) > 0 {
		b = bytes.ReplaceAll(b, was, is)
	}
	return f.Conn.WriteToUDPAddrPort(b, to)
}
