package link

import "time"

// Snapshot is what calls have found out of a link.
type Snapshot struct {
	RoundTrip  time.Duration // smoothed; 0: not measured yet
	Resent     uint64        // requests sent more than once
	PacketSize int           // bytes in the largest datagram that is sent, the tag of sealed ones among them
}

// Snapshot is the link at this moment.
func (l *Link) Snapshot() Snapshot {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.exchange == nil {
		return Snapshot{PacketSize: BasePacket + l.carrier.Overhead()}
	}
	return Snapshot{l.exchange.rtt.smoothed, l.exchange.resent, l.exchange.path.size + l.carrier.Overhead()}
}
