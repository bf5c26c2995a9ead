package metrics

import (
	"net/netip"

	"broach"

	"github.com/prometheus/client_golang/prometheus"
)

// peerDescs describe the members and the paths to them.
type peerDescs struct{ members, circuits, rtt, loss, inFlight *prometheus.Desc }

func (c *collector) describePeers() {
	which, labels := "largest of all peers", []string(nil)
	if c.perPeer {
		which, labels = "by peer", []string{"peer"}
	}
	c.peers = peerDescs{
		members: c.desc("members",
			"Members as this node believes, itself among them; a guest has none.", "state"),
		circuits: c.desc("open_circuits",
			"Functions that are not called at a peer because they failed again and again."),
		rtt: c.desc("peer_rtt_seconds",
			"Smoothed round trip of calls, once it is measured: "+which+".", labels...),
		loss: c.desc("peer_loss_ratio",
			"Share of the datagrams of a peer that did not arrive, since the link was made: "+which+".", labels...),
		inFlight: c.desc("peer_in_flight", "Calls that wait for a reply of a peer: "+which+".", labels...),
	}
}

// path is what is shown of the way to one peer.
type path struct {
	rtt, loss float64 // rtt 0: not measured yet
	inFlight  int
}

func (p *path) add(s *broach.PeerStats) {
	p.rtt, p.loss, p.inFlight = max(p.rtt, s.RTT.Seconds()), max(p.loss, s.Loss), max(p.inFlight, s.InFlight)
}

func (c *collector) collectPeers(to chan<- prometheus.Metric, s *broach.Stats) {
	in := [broach.Left + 1]int{broach.Alive: 1} // itself
	circuits := 0
	for i := range s.Peers {
		p := &s.Peers[i]
		circuits += len(p.Open)
		if int(p.State) < len(in) {
			in[p.State]++
		}
	}
	for state, n := range in {
		if !c.isGuest { // which knows those that it calls, and would be taken for cut off
			gauge(to, c.peers.members, float64(n), broach.State(state).String())
		}
	}
	gauge(to, c.peers.circuits, float64(circuits))
	c.collectPaths(to, s.Peers)
}

// collectPaths leaves out who is gone: nothing is measured there any more. Peers are sorted by address, which two have
// while one replaces the other.
func (c *collector) collectPaths(to chan<- prometheus.Metric, peers []broach.PeerStats) {
	var sum path
	var addr netip.AddrPort // of sum; not valid: none yet
	for i := range peers {
		p := &peers[i]
		if p.State != broach.Alive && p.State != broach.Suspect {
			continue
		}
		if c.perPeer && addr.IsValid() && addr != p.Addr {
			c.showPath(to, sum, addr.String())
			sum = path{}
		}
		sum.add(p)
		addr = p.Addr
	}
	switch {
	case !c.perPeer:
		c.showPath(to, sum)
	case addr.IsValid():
		c.showPath(to, sum, addr.String())
	}
}

func (c *collector) showPath(to chan<- prometheus.Metric, p path, labels ...string) {
	if p.rtt > 0 {
		gauge(to, c.peers.rtt, p.rtt, labels...)
	}
	gauge(to, c.peers.loss, p.loss, labels...)
	gauge(to, c.peers.inFlight, float64(p.inFlight), labels...)
}
