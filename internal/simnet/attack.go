package simnet

import (
	"net/netip"
	"time"
)

// tapFunc is the type of the functions that Tap takes.
type tapFunc func(now time.Time, from, to netip.AddrPort, payload []byte)

// Tap calls f for every datagram that a conn sends, before its fate is decided, so also for those that are lost or cut.
// Datagrams from Inject are not shown, so that f may inject what it sees. It is called by the writing goroutines,
// several at a time, without a lock; it must copy the payload to keep it. It replaces the function of an earlier call;
// nil ends tapping.
func (n *Network) Tap(f func(now time.Time, from, to netip.AddrPort, payload []byte)) {
	if f == nil {
		n.tap.Store(nil)
		return
	}
	tap := tapFunc(f)
	n.tap.Store(&tap)
}

// Inject sends a copy of payload to an address with any sender address, as an attacker could. It arrives after the
// default link's delay and meets no loss, cut or other fault, or a test that it does no harm might prove nothing.
func (n *Network) Inject(from, to netip.AddrPort, payload []byte) {
	victim := n.hosts.at(unmap(to))
	fate := n.planForged(victim, len(payload))
	victim.in.send(newDatagram(unmap(from), forged, fate.count, fate.at, payload), n.now())
}
