package simnet

import "net/netip"

// Traffic counts datagrams written by conns.
type Traffic struct {
	Datagrams uint64
	Bytes     uint64 // of payload
	Largest   int    // payload of the largest datagram, in bytes
}

func (t *Traffic) add(size int) {
	t.Datagrams++
	t.Bytes += uint64(size)
	t.Largest = max(t.Largest, size)
}

// join adds what somebody else counted.
func (t *Traffic) join(o Traffic) {
	t.Datagrams += o.Datagrams
	t.Bytes += o.Bytes
	t.Largest = max(t.Largest, o.Largest)
}

// Stats counts datagrams since the network was made. While nobody writes,
//
//	Sent.Datagrams + Duplicated + Injected =
//		Delivered + Lost + Cut + TooLarge + Crowded + Overflowed + Unheard + InFlight
type Stats struct {
	Sent       Traffic // by all conns
	Duplicated uint64  // second copies made by links
	Injected   uint64  // by Inject

	Delivered  uint64 // to a receive queue, whether read or not
	Lost       uint64 // by the Loss of a link, or by Drop
	Cut        uint64
	TooLarge   uint64 // for the MTU of a link
	Crowded    uint64 // found the queue of a bucket full
	Overflowed uint64 // arrived at a full receive queue
	Unheard    uint64 // arrived where nobody listened
	InFlight   uint64

	By map[netip.AddrPort]Traffic // sent by each address that sent anything
}

// Stats returns the counts up to now.
func (n *Network) Stats() Stats {
	s := Stats{By: make(map[netip.AddrPort]Traffic), Injected: n.forger.out.traffic().Datagrams}
	now := n.now()
	for _, h := range n.hosts.all() {
		h.in.report(&s, now)
		h.out.report(&s)
		if t := h.out.traffic(); t.Datagrams > 0 {
			s.By[h.addr] = t
		}
	}
	return s
}

func (o *outbox) traffic() Traffic {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sent
}

// report adds the counts of the sending side.
func (o *outbox) report(s *Stats) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s.Sent.join(o.sent)
	s.Duplicated += o.duplicated
	s.Lost += o.lost
	s.Cut += o.cut
	s.TooLarge += o.tooLarge
	s.Crowded += o.crowded
}

// report adds the counts of the receiving side.
func (in *inbox) report(s *Stats, now int64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.settle(now)
	s.Delivered += in.delivered
	s.Overflowed += in.overflowed
	s.Unheard += in.unheard
	s.InFlight += uint64(len(in.flying))
}
