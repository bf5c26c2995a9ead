package main

import (
	"errors"
	"net/netip"
	"sync/atomic"
)

// A port is where one node meets the network. It outlives neither the node nor a restart at the same address.
type port struct {
	net    *network
	self   netip.AddrPort
	silent atomic.Bool // nothing goes out any more: the node was killed
}

var errCut = errors.New("no way through")

// sends says whether a datagram arrives.
func (p *port) sends(to netip.AddrPort, payload int) bool {
	return !p.silent.Load() && p.net.passes(p.self, to, payload)
}

// dials says whether a stream can be opened.
func (p *port) dials(to netip.AddrPort) error {
	if p.silent.Load() || !p.net.connects(p.self, to) {
		return errCut
	}
	return nil
}
