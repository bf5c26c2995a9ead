package link

import (
	"time"

	"broach/internal/wire"
)

const (
	// BasePacket is taken to pass everywhere: a path that does not carry it carries no Join either.
	BasePacket = wire.ControlPacket

	// searchStep ends a search: 16 bytes are about 1 % of the smallest packets, and every halving less spares three
	// lost probes. Between 1,200 and 8,972 bytes 10 sizes are tried at most.
	searchStep = 16

	searchAgain = 10 * time.Minute // RFC 8899 section 5.1.1, PMTU_RAISE_TIMER
	probeTries  = 3                // the same section, MAX_PROBES
)

// pathSize finds the largest datagram that passes from us to a peer, PROTOCOL.md 1.3. It belongs to a link and is
// stepped under its mutex. Nothing is sent before a datagram was filled: a peer that is never asked for much costs
// nothing.
//
//	BasePacket <= size <= limit
//	failed == 0 || size < failed
type pathSize struct {
	size  int // of the largest datagram to be sent: the packet size
	limit int // Carrier.MaxPacket

	full  bool // a datagram was filled to size since the last search began
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

// init begins with the size that needs no probe.
func (p *pathSize) init(now time.Time, limit int) {
	*p = pathSize{size: BasePacket, limit: limit, again: now}
}

// filled notes that a datagram had no room for all that waited: a larger one would have been of use.
func (p *pathSize) filled() { p.full = true }

// sent notes the size of the largest of some datagrams that are sent.
func (p *pathSize) sent(size int) { p.large = p.large || size > BasePacket }

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
func (p *pathSize) isWanted() bool { return p.full && p.size < p.limit }

// search begins to look for a larger size, below failed if that is not 0.
func (p *pathSize) search(now time.Time, failed int) {
	p.searching, p.failed, p.full = true, failed, false
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
	switch {
	case p.failed == 0:
		return p.limit
	case p.failed-p.size <= searchStep:
		return p.size
	}
	return (p.size + p.failed) / 2
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
	p.size, p.large = BasePacket, false
	p.search(now, p.probed)
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
func (p *pathSize) stop() { p.probed, p.searching, p.full = 0, false, false }

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
