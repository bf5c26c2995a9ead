package main

import (
	"math/rand/v2"
	"net/netip"
	"sync"
)

// A network decides, at the sender, what becomes of all that the nodes of one cluster send, and counts it.
type network struct {
	mu   sync.Mutex
	rand *rand.Rand
	loss float64                 // share of the datagrams, 0 to 1
	side map[netip.AddrPort]bool // true for the nodes on one side of a cut, nil where there is no cut
	sent traffic
}

// traffic is what nodes have sent.
type traffic struct {
	datagrams, bytes int // lost ones too: they cost the sender the same
	streamed         int // bytes in TCP streams, both ways
}

const headers = 28 // bytes of IPv4 and UDP before the payload of a datagram

func newNetwork(seed uint64) *network {
	return &network{rand: rand.New(rand.NewPCG(seed, 0))}
}

func (n *network) setLoss(share float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loss = share
}

// cut parts these nodes from all others.
func (n *network) cut(nodes []netip.AddrPort) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.side = make(map[netip.AddrPort]bool)
	for _, a := range nodes {
		n.side[a] = true
	}
}

// heal ends a cut.
func (n *network) heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.side = nil
}

// passes counts a datagram and says whether it arrives.
func (n *network) passes(from, to netip.AddrPort, payload int) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sent.datagrams++
	n.sent.bytes += payload + headers
	return n.side[from] == n.side[to] && n.rand.Float64() >= n.loss
}

// connects says whether a stream can be opened: TCP hides loss, but no cut.
func (n *network) connects(from, to netip.AddrPort) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.side[from] == n.side[to]
}

// stream counts bytes of a stream.
func (n *network) stream(bytes int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sent.streamed += bytes
}

// total is what has been sent so far.
func (n *network) total() traffic {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.sent
}
