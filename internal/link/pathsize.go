package link

import (
	"net/netip"
	"time"

	"broach/internal/udp"
	"broach/internal/wire"
)

const (
	// BasePacket is taken to pass everywhere: a path that does not carry it carries no Join either.
	BasePacket = wire.ControlPacket

	searchAgain = 10 * time.Minute // RFC 8899 section 5.1.1, PMTU_RAISE_TIMER
	probeTries  = 3                // the same section, MAX_PROBES

	// searchFrom is how many bytes must have come that larger datagrams would have been of use to: a search costs some
	// 16 datagrams, more than one answer of a few KiB is worth.
	searchFrom = 8 << 10
)

// The sizes that are tried, from below: as on the wire, the tag of sealed datagrams among them. 1,400 passes through
// most tunnels, the next two fill the frames of an Ethernet and of one with jumbo frames, less the headers of IP and
// UDP, and udp.MaxDatagram passes within a machine. What lies between gains less than its probes cost.
var (
	ladder4 = [...]int{usualPacket, 1472, 8972, udp.MaxDatagram}
	ladder6 = [...]int{usualPacket, 1452, 8952, udp.MaxDatagram}
)

// usualPacket is the largest where datagrams are lost whatever is sent: each is less to send again.
const usualPacket = 1400

// pathSize finds the largest datagram that passes from us to a peer, PROTOCOL.md 3.5. It belongs to a link and is
// stepped under its mutex. Nothing is sent before datagrams were filled: a peer that is never asked for much costs
// nothing.
//
//	BasePacket <= size <= limit
//	failed == 0 || size < failed
type pathSize struct {
	size  int // of the largest datagram to be sent: the packet size
	limit int // Carrier.MaxPacket
	tag   int // by how much datagrams are longer on the wire
	steps *[4]int

	full  int  // bytes that came since the last search began and did not fit their datagrams
	large bool // one above BasePacket was sent since size was last known to pass

	searching bool
	failed    int       // the smallest size known not to pass; 0: none is known
	again     time.Time // no search begins before

	probed  int // the size being probed; 0: none
	id      uint32
	lost    int  // of its probes
	isHeard bool // the small probe that went with the last of them was answered
	pace    time.Duration
	due     time.Time // when the next is to be sent
}

// init begins with the size that needs no probe. tag is by how much datagrams are longer on the wire than the limit and
// all other sizes here say.
func (p *pathSize) init(now time.Time, peer netip.Addr, limit, tag int) {
	*p = pathSize{size: BasePacket, limit: limit, tag: tag, steps: &ladder4, again: now}
	if peer.Is6() {
		p.steps = &ladder6
	}
}

// filled notes that so many bytes had no room in one datagram: a larger one would have been of use.
func (p *pathSize) filled(bytes int) { p.full = min(p.full+bytes, searchFrom) }

// sent notes the size of the largest of some datagrams that are sent.
func (p *pathSize) sent(size int) { p.large = p.large || size > BasePacket }

// part keeps what is as large as the size that is probed apart from what goes with it: it is to show whether a datagram
// passes by itself.
func (p *pathSize) part(out []udp.Datagram) {
	if p.probed == 0 {
		return
	}
	for i := range out {
		out[i].Alone = out[i].Len() == p.probed
	}
}

// suspect notes that something had to be repeated. It may be that large datagrams do not pass any more.
func (p *pathSize) suspect(now time.Time) {
	if p.large && p.size > BasePacket && p.probed != p.size {
		p.probe(now, p.size)
	}
}

// passed notes that a datagram of that size arrived: an answer to the suspicion that those of the packet size do not.
func (p *pathSize) passed(now time.Time, size int) {
	if p.probed == p.size && size >= p.size {
		p.large = false
		p.advance(now)
	}
}

// next returns a probe if one is to be sent now, together with the small one whose id is 0. rto is the retransmission
// time of calls. Afterwards the size may have fallen.
func (p *pathSize) next(now time.Time, rto time.Duration) (wire.Probe, bool) {
	if p.probed == 0 && p.isWanted() && !now.Before(p.again) {
		p.search(now, 0)
	}
	if p.probed != 0 && !now.Before(p.due) && p.isHeard {
		p.lose(now)
	}
	if p.probed == 0 || now.Before(p.due) {
		return wire.Probe{}, false
	}
	p.pace = min(max(2*p.pace, rto), max(maxPace, rto))
	p.isHeard, p.due = false, now.Add(p.pace)
	return wire.ProbeFor(p.id, p.probed), true
}

// isWanted says whether a search would be of use.
func (p *pathSize) isWanted() bool { return p.full == searchFrom && p.size < p.limit }

// search begins to look for a larger size, below failed if that is not 0.
func (p *pathSize) search(now time.Time, failed int) {
	p.searching, p.failed, p.full = true, failed, 0
	p.advance(now)
}

// advance goes on with the search, if there is one.
func (p *pathSize) advance(now time.Time) {
	p.probed = 0
	if !p.searching {
		return
	}
	if size := p.candidate(); size > p.size {
		p.probe(now, size)
		return
	}
	p.searching, p.again = false, now.Add(searchAgain)
}

// candidate is the size to be tried next; the size itself when there is none.
func (p *pathSize) candidate() int {
	for _, step := range p.steps {
		if size := min(step-p.tag, p.limit); size > p.size && (p.failed == 0 || size < p.failed) {
			return size
		}
	}
	return p.size
}

// probe begins to probe a size.
func (p *pathSize) probe(now time.Time, size int) {
	p.id++
	if p.id == 0 { // that of the small ones
		p.id++
	}
	p.probed, p.lost, p.isHeard, p.pace, p.due = size, 0, false, 0, now
}

// lose notes that a probe was lost where a small one was not.
func (p *pathSize) lose(now time.Time) {
	if p.lost++; p.lost < probeTries {
		return
	}
	if p.probed > p.size {
		p.failed = p.probed
		p.advance(now)
		return
	}
	p.fall(now, p.probed)
}

// fall gives the size up: one that was failed does not pass any more.
func (p *pathSize) fall(now time.Time, failed int) {
	p.size, p.large = BasePacket, false
	p.search(now, failed)
}

// refused notes that our own system did not take a datagram of that size as too long for the path: there is nothing to
// wait for.
func (p *pathSize) refused(now time.Time, size int) {
	switch {
	case size == p.probed && size > p.size:
		p.failed = size
		p.advance(now)
	case size > BasePacket && size <= p.size:
		p.fall(now, size)
	}
}

// lossy notes that much is lost whatever is sent, [PATH-9].
func (p *pathSize) lossy(now time.Time) {
	if usual := usualPacket - p.tag; p.size > usual {
		p.size, p.probed, p.searching, p.full = usual, 0, false, 0
		p.again = now.Add(searchAgain)
	}
}

// ack takes the answer to a probe.
func (p *pathSize) ack(now time.Time, id uint32) {
	switch {
	case p.probed == 0:
	case id == 0:
		p.isHeard = true
	case id == p.id:
		p.size, p.large = p.probed, false
		p.advance(now)
	}
}

// stop ends all probing: the peer cannot be reached.
func (p *pathSize) stop() { p.probed, p.searching, p.full = 0, false, 0 }

// nextTimeout is when next may have a probe to send; zero: never.
func (p *pathSize) nextTimeout() time.Time {
	switch {
	case p.probed != 0:
		return p.due
	case p.isWanted():
		return p.again
	}
	return time.Time{}
}
