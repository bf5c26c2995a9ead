package simnet

import (
	"net/netip"
	"time"
)

// defaultDelay stands for a Delay of zero, a quick LAN. Were it nothing, a program that answers at once would go on for
// ever at one instant of virtual time.
const defaultDelay = 100 * time.Microsecond

// Link says what happens to datagrams on their way in one direction. The zero value delivers all of them, in order,
// after 100 µs. The chances are probabilities from 0 to 1.
type Link struct {
	Loss      float64 // chance that a datagram is lost
	Duplicate float64 // chance that a datagram arrives a second time, up to Delay+Jitter after the first
	// chance that a datagram is held back for one to three times Delay+Jitter, while later ones overtake it
	Reorder float64

	// Delay is how long every datagram takes; zero means 100 µs.
	Delay time.Duration
	// Jitter is the most that is added to Delay, evenly distributed. Like a queue in a router it delays, but does not
	// reorder: one datagram leaves the link a nanosecond after the one before it at the earliest.
	Jitter time.Duration

	// MTU is the largest payload in bytes; larger ones vanish. Zero means no limit.
	MTU int

	// Bucket bounds how much passes, before the delay. Links may share one. Nil means no limit.
	Bucket *Bucket
}

// complete returns l with the default delay put in.
func (l Link) complete() *Link {
	if l.Delay <= 0 {
		l.Delay = defaultDelay
	}
	l.Jitter = max(l.Jitter, 0)
	return &l
}

// spread is the scale of the times by which duplicates and held datagrams are late.
func (l *Link) spread() time.Duration { return l.Delay + l.Jitter }

// isTooSmall reports whether a payload of size bytes does not pass.
func (l *Link) isTooSmall(size int) bool { return l.MTU > 0 && size > l.MTU }

// SetDefault sets the link of all pairs for which SetLink was not called, from now on.
func (n *Network) SetDefault(l Link) { n.standard.Store(l.complete()) }

// SetLink sets the link from one address to another, in this direction only, from now on. Datagrams in flight are not
// touched.
func (n *Network) SetLink(from, to netip.AddrPort, l Link) {
	n.hosts.at(unmap(from)).out.setLink(n.hosts.at(unmap(to)), l.complete())
}

// luck is all the chance in the life of one datagram: the hash from which its draws are made.
type luck uint64

// The draws of one datagram. Each has a number, so that a link without jitter loses the same datagrams as one with it.
const (
	drawNudge = iota
	drawLoss
	drawJitter
	drawReorder
	drawHold
	drawDuplicate
	drawAgain
)

// luckOf is the luck of the count-th datagram from one host to another.
func (n *Network) luckOf(from, to *host, count uint64) luck {
	return luck(mix(mix(mix(n.seed^from.key)+to.key) + count))
}

// bits are the 64 random bits of one draw.
func (l luck) bits(draw uint64) uint64 { return mix(uint64(l) + draw) }

// unit is a draw from [0, 1).
func (l luck) unit(draw uint64) float64 { return float64(l.bits(draw)>>11) / (1 << 53) }

// hits reports whether an event of that probability happens.
func (l luck) hits(draw uint64, probability float64) bool {
	return probability > 0 && l.unit(draw) < probability
}

// within is a draw from [0, d), in nanoseconds.
func (l luck) within(draw uint64, d time.Duration) int64 { return int64(l.unit(draw) * float64(d)) }

// nudge is a draw from 1 to 999 ns. It is never zero, so that whole microseconds of writing and delay are left.
func (l luck) nudge() int64 { return 1 + int64(l.bits(drawNudge)%999) }

// mix is the step of the splitmix64 generator: each bit of the result depends on each bit of x.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
