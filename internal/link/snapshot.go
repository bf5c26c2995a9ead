package link

import "time"

// snapshot is what calls have found out of a link.
type snapshot struct {
	RoundTrip  time.Duration // smoothed; 0: not measured yet
	Resent     uint64        // requests sent more than once
	PacketSize int           // bytes in the largest datagram that is sent, the tag of sealed ones among them
}

// Snapshot is the link at this moment.
func (l *Link) Snapshot() snapshot {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.exchange == nil {
		return snapshot{PacketSize: BasePacket + l.Overhead()}
	}
	return snapshot{l.rtt.smoothed, l.resent, l.path.size + l.Overhead()}
}
