package simnet

import "net/netip"

// cut stops all datagrams from some hosts to others.
type cut struct {
	from, to map[*host]bool
}

// Cut stops all datagrams between the addresses in a and those in b, both ways, until Heal.
// Datagrams in flight still arrive. Links are not touched, and cuts add up.
func (n *Network) Cut(a, b []netip.AddrPort) {
	n.CutOneWay(a, b)
	n.CutOneWay(b, a)
}

// CutOneWay is Cut in one direction: what is written at an address in from no longer arrives at any in to.
func (n *Network) CutOneWay(from, to []netip.AddrPort) {
	n.mu.Lock()
	defer n.mu.Unlock()
	cuts := []cut{{n.hostSet(from), n.hostSet(to)}}
	if old := n.cuts.Load(); old != nil {
		cuts = append(cuts, *old...)
	}
	n.cuts.Store(&cuts)
}

// Heal undoes all cuts. What was written meanwhile stays lost.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cuts.Store(nil)
}

// pickFunc is the type of the functions that Drop takes.
type pickFunc func(from, to netip.AddrPort, payload []byte) bool

// Drop loses the datagrams that f picks, from the call on. It is asked of every datagram that a conn sends, after the
// tap has seen it; those from Inject are not its business. It is called as the function of Tap is, and under the same
// terms. It replaces the function of an earlier call; nil ends it.
func (n *Network) Drop(f func(from, to netip.AddrPort, payload []byte) bool) {
	if f == nil {
		n.pick.Store(nil)
		return
	}
	pick := pickFunc(f)
	n.pick.Store(&pick)
}

// isPicked reports whether the function of Drop wants a datagram lost.
func (n *Network) isPicked(from, to netip.AddrPort, payload []byte) bool {
	pick := n.pick.Load()
	return pick != nil && (*pick)(from, to, payload)
}

func (n *Network) hostSet(addrs []netip.AddrPort) map[*host]bool {
	set := make(map[*host]bool, len(addrs))
	for _, a := range addrs {
		set[n.hosts.at(unmap(a))] = true
	}
	return set
}

func (n *Network) isCut(from, to *host) bool {
	cuts := n.cuts.Load()
	if cuts == nil {
		return false
	}
	for _, c := range *cuts {
		if c.from[from] && c.to[to] {
			return true
		}
	}
	return false
}

// Pause makes the conn at addr seem a stopped process (SIGSTOP) until Resume or Close. Reads see nothing; what arrives
// waits in the receive queue, as far as it has room. The network cannot hold the goroutines of the process: each goes
// on until it writes, and waits there. Those that have waited go on together, so that the order of what they write is
// that of chance. A conn opened at addr after the close of a paused one is not paused; without a conn Pause does
// nothing.
func (n *Network) Pause(addr netip.AddrPort) { n.hosts.at(unmap(addr)).in.pause(true) }

// Resume ends a pause: the conn at addr reads what has waited, in order and at once.
func (n *Network) Resume(addr netip.AddrPort) { n.hosts.at(unmap(addr)).in.pause(false) }
