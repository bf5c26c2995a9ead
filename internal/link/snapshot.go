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
	x := l.soFar()
	return Snapshot{x.rtt.smoothed, x.resent, x.path.size + l.carrier.Overhead()}
}
