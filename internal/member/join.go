package member

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"broach/internal/pace"
	"broach/internal/wire"
)

const (
	joinFirst   = 50 * time.Millisecond // between two Joins at first
	joinSlowest = 5 * time.Second       // and after many
	joinAgain   = 40 * time.Millisecond // at least, to a seed with a link: it answers with a List of any length
	joinRecent  = 2 * time.Second       // how long a joiner is told of peers that come after it, [MEM-8]
	joinSettle  = time.Second           // what the addresses of a List have to answer before we count as joined
	// after our start, in which those who join through us wait until we have joined
	joinHold  = 500 * time.Millisecond
	newsDelay = 5 * time.Millisecond // collects peers that come at once into one List
)

// joining is what we know of the seeds, and of who joins through us.
type joining struct {
	named  []netip.AddrPort         // seeds, our own address too
	seeds  []netip.AddrPort         // those without it
	hoped  bool                     // there are seeds whose addresses are not known yet
	guises map[netip.AddrPort]guise // of seeds that advertise another address than we were told, or are ourselves

	state  joinState
	at     time.Time     // of the next Join, or when the state is over; zero: nothing is due
	next   int           // whose turn it is
	pace   time.Duration // between Joins
	wholes nonces        // of the last Joins that asked for the whole List
	parts  nonces        // and of those that asked for some
	from   *peer         // whose List is coming in, or has come
	chunks map[uint16]bool

	missing map[netip.AddrPort]time.Time // named by a List at a time, and not met yet
	askAt   time.Time                    // when to ask for them; zero: there are none
	// the number of the next question, since somebody was named who was not missing
	asks uint8

	recent  []joiner       // who joined through us
	owing   bool           // some of them wait for the List
	asked   netip.AddrPort // whom we asked for the List last
	askedAt time.Time
}

// A joinState is how far we are with joining.
type joinState uint8

const (
	asksSeeds joinState = iota // for the whole List, if there is another to ask than ourselves
	settles                    // that has come: those in it have joinSettle to answer
	hasJoined                  // they had, or all have
)

// joiner is a node that joined through us lately.
type joiner struct {
	addr  netip.AddrPort
	at    time.Time
	nonce uint64 // of its last Join
}

// nonces are the last that were drawn, the latest first.
type nonces [4]uint64

func (n *nonces) draw(rng *rand.Rand) uint64 {
	copy(n[1:], n[:])
	n[0] = rng.Uint64() | 1
	return n[0]
}

func (n *nonces) has(nonce uint64) bool { return nonce != 0 && slices.Contains(n[:], nonce) }

// originOf is that of those whom a List names, which may have the nonce of one of our Joins.
func (j *joining) originOf(l wire.List) origin {
	if j.wholes.has(l.Echo) || j.parts.has(l.Echo) {
		return fromAnswer
	}
	return fromOthers
}

// Joined reports that we know the cluster: there is none to ask but ourselves, or a seed's whole List has come and
// those in it have answered or had the time to. Other seeds need not have.
func (m *Membership) Joined() bool {
	j := &m.joining
	if m.cfg.Guest {
		return m.visiting.host != nil
	}
	switch j.state {
	case asksSeeds:
		return m.areOurselves() && !j.hoped
	case settles:
		return len(m.provings)+len(j.missing) == 0 && m.knowsAll()
	}
	return true
}

// IsUnanswered reports that there are seeds, and that none has ever answered.
func (m *Membership) IsUnanswered() bool {
	j := &m.joining
	if j.state != asksSeeds || m.areOurselves() && !j.hoped {
		return false
	}
	return !slices.ContainsFunc(j.seeds, func(s netip.AddrPort) bool { return m.peers.byAddr[j.placeOf(s)] != nil })
}

// knowsAll reports that all peers have said who they are, and what they offer.
func (m *Membership) knowsAll() bool {
	for _, p := range m.peers.list {
		if p.state() == Alive && (p.tver == 0 || !p.isIntroduced()) {
			return false
		}
	}
	return true
}

// tickJoin goes on with joining.
func (m *Membership) tickJoin(now time.Time) {
	switch j := &m.joining; {
	case j.at.IsZero() || now.Before(j.at):
	case j.state == asksSeeds && len(j.seeds) == 0: // a guest has lost its last
		j.at = time.Time{}
	case j.state == asksSeeds:
		m.joinNext(now)
	default:
		j.state, j.at, m.out.Changed = hasJoined, time.Time{}, true
	}
}

// joinNext sends the next Join, [MEM-6].
func (m *Membership) joinNext(now time.Time) {
	j := &m.joining
	if j.next >= len(j.seeds) {
		j.next, j.pace = 0, min(j.pace+j.pace/2, joinSlowest)
	}
	m.join(now, j.seeds[j.next])
	j.next++
}

// join asks a seed for its List, or for a link if it is no peer yet.
func (m *Membership) join(now time.Time, seed netip.AddrPort) {
	j := &m.joining
	j.at = now.Add(j.pace)
	switch p := m.peers.byAddr[j.placeOf(seed)]; {
	case p != nil && m.cfg.Guest:
		m.settle(p)
	case p != nil && p.isMember():
		m.continueJoin(now, p)
		j.at = pace.Later(now.Add(j.pace), j.askedAt.Add(joinAgain))
	case !m.isProving(seed):
		m.contactSeed(now, seed)
	}
}

// contactSeed opens to a seed. If that has been in vain for long and our address was told to us, we may be elsewhere,
// where no Offer comes.
func (m *Membership) contactSeed(now time.Time, seed netip.AddrPort) {
	c := m.contact(now, seed)
	if m.learner.on && c != nil && now.Sub(c.began) >= contactFor {
		m.askAddress(seed)
	}
}

// isProving reports whether an address has offered a link that is not confirmed yet.
func (m *Membership) isProving(addr netip.AddrPort) bool {
	return slices.ContainsFunc(m.provings, func(pr *proving) bool { return pr.Addr == addr && !pr.again.IsZero() })
}

// continueJoin asks a seed that has become a peer.
func (m *Membership) continueJoin(now time.Time, p *peer) { m.askList(now, p.Addr, p.tie.token) }

// askList asks a seed for the List on a link, unless it was just asked. The first Confirm of a link does so too: that
// saves a round trip.
func (m *Membership) askList(now time.Time, addr netip.AddrPort, link uint64) {
	j := &m.joining
	isAsked := j.asked == addr && now.Before(j.askedAt.Add(joinAgain))
	if m.cfg.Guest || j.state != asksSeeds || !j.isSeed(addr) || isAsked {
		return
	}
	j.asked, j.askedAt = addr, now
	m.send(link, wire.Join{Nonce: j.wholes.draw(m.rng)})
}

// noteJoiner remembers who joins through us.
func (m *Membership) noteJoiner(now time.Time, addr netip.AddrPort, nonce uint64) {
	j := &m.joining
	j.recent = slices.DeleteFunc(j.recent, func(r joiner) bool { return r.addr == addr || now.Sub(r.at) > joinRecent })
	if len(j.recent) < joinersMax {
		j.recent = append(j.recent, joiner{addr: addr, at: now, nonce: nonce})
	}
}

// isNew reports that we have just started and do not know the cluster ourselves: who joined by our List would believe
// that there is nobody else.
func (m *Membership) isNew(now time.Time) bool { return now.Sub(m.began) < joinHold && !m.Joined() }

// owedAt is when those who wait for the List get it at the latest; zero: nobody waits.
func (m *Membership) owedAt() time.Time {
	if !m.joining.owing {
		return time.Time{}
	}
	return m.began.Add(joinHold)
}

// tickOwed answers those who joined through us before we knew the cluster, as soon as we do.
func (m *Membership) tickOwed(now time.Time) {
	if !m.joining.owing || m.isNew(now) {
		return
	}
	m.joining.owing = false
	for _, r := range m.joining.recent {
		if p := m.peers.byAddr[r.addr]; p != nil && p.isMember() && m.moment(now) >= p.listAt {
			m.tellChunks(now, p, r.nonce, m.entries(), payOnce)
		}
	}
}

// addNews notes a new peer for the recent joiners.
func (m *Membership) addNews(now time.Time, p *peer) {
	if len(m.joining.recent) == 0 {
		return
	}
	m.news = append(m.news, p.Process)
	if m.newsAt.IsZero() {
		m.newsAt = now.Add(newsDelay)
	}
}

// tickNews tells the recent joiners of the peers that came since, [MEM-8].
func (m *Membership) tickNews(now time.Time) {
	if m.newsAt.IsZero() || now.Before(m.newsAt) {
		return
	}
	for _, r := range m.joining.recent {
		p := m.peers.byAddr[r.addr]
		if p == nil || !p.isMember() || now.Sub(r.at) > joinRecent {
			continue
		}
		m.tellChunks(now, p, 0, m.news, payOnce)
	}
	m.news, m.newsAt = nil, time.Time{}
}
