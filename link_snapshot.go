package broach

import "time"

// snapshot is what calls have found out of a link.
type snapshot struct {
	roundTrip  time.Duration // smoothed; 0: not measured yet
	resent     uint64        // requests sent more than once
	packetSize int           // bytes in the largest datagram that is sent, the tag of sealed ones among them
}

// snapshot is the link at this moment.
func (l *link) snapshot() snapshot {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.exchange == nil {
		return snapshot{packetSize: basePacket + l.overhead()}
	}
	return snapshot{l.rtt.smoothed, l.resent, l.path.size + l.overhead()}
}
