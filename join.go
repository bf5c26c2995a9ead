package broach

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"broach/internal/wire"
)

const (
	joinFirst   = 50 * time.Millisecond // between two Joins at first
	joinSlowest = 5 * time.Second       // and after many
	joinAgain   = 40 * time.Millisecond // at least, to a seed with a link: it answers with a List of any length
	joinRecent  = 2 * time.Second       // how long a joiner is told of peers that come after it, [MEM-8]
	joinSettle  = time.Second           // what the addresses of a List have to answer before we count as joined
	newsDelay   = 5 * time.Millisecond  // collects peers that come at once into one List

	healEvery = 500 * time.Millisecond // between contacts with peers that are offline, [MEM-18]
	healSeeds = 8                      // of them at once while we have not joined

)

// joinState is how far we are with joining.
type joinState struct {
	named  []netip.AddrPort                  // seeds, whoever is there
	seeds  []netip.AddrPort                  // those without ourselves
	hoped  bool                              // there are seeds whose addresses are not known yet
	next   int                               // whose turn it is
	at     time.Time                         // of the next Join; zero: none is needed
	pace   time.Duration                     // between Joins
	wholes nonces                            // of the last Joins that asked for the whole List
	parts  nonces                            // and of those that asked for some
	others map[netip.AddrPort]netip.AddrPort // where seeds are that advertise another address than we were told
	listed bool                              // a whole List has come
	settle time.Time                         // when those in it have had their time to answer; zero: that is over
	from   *peer                             // whose List is coming in, or has come
	chunks map[uint16]bool

	missing map[netip.AddrPort]time.Time // named by a List at a time, and not met yet
	askAt   time.Time                    // when to ask for them; zero: there are none
	asks    uint8                        // the number of the next question, since somebody was named who was not missing

	recent  []joiner       // who joined through us
	asked   netip.AddrPort // whom we asked for the List last
	askedAt time.Time
}

// joiner is a node that joined through us lately.
type joiner struct {
	addr netip.AddrPort
	at   time.Time
}

// nonces are the last that were drawn, the latest first.
type nonces [4]uint64

func (n *nonces) draw(rng *rand.Rand) uint64 {
	copy(n[1:], n[:])
	n[0] = rng.Uint64() | 1
	return n[0]
}

func (n *nonces) has(nonce uint64) bool { return nonce != 0 && slices.Contains(n[:], nonce) }

// isAnswer reports whether a nonce is that of one of our Joins.
func (j *joinState) isAnswer(echo uint64) bool { return j.wholes.has(echo) || j.parts.has(echo) }

// alias notes that the process at a seed's address advertises another. It reports whether the first is a seed.
func (j *joinState) alias(seed, addr netip.AddrPort) bool {
	if !slices.Contains(j.seeds, seed) {
		return false
	}
	if j.others == nil {
		j.others = make(map[netip.AddrPort]netip.AddrPort)
	}
	j.others[seed] = addr
	return true
}

// placeOf is where the process of a seed is.
func (j *joinState) placeOf(seed netip.AddrPort) netip.AddrPort {
	if other, ok := j.others[seed]; ok {
		return other
	}
	return seed
}

// isSeed reports whether an address is that of a seed, or the one that it advertises.
func (j *joinState) isSeed(addr netip.AddrPort) bool {
	return slices.ContainsFunc(j.seeds, func(s netip.AddrPort) bool { return s == addr || j.placeOf(s) == addr })
}

// setSeeds takes the addresses of the seeds, of which our own is harmless, and whether more are hoped for. Those that are new are asked at once.
func (m *membership) setSeeds(now time.Time, addrs []netip.AddrPort, hoped bool) {
	j, hadJoined := &m.joining, m.joined()
	wasSeed := make(map[netip.AddrPort]bool)
	for _, s := range j.seeds {
		wasSeed[s] = true
	}
	j.named, j.hoped = slices.Clone(addrs), hoped
	j.seeds = slices.DeleteFunc(slices.Clone(addrs), func(a netip.AddrPort) bool { return a == m.cfg.self })
	first := slices.IndexFunc(j.seeds, func(a netip.AddrPort) bool { return !wasSeed[a] })
	switch {
	case j.listed && first >= 0:
		m.healAt = now // they may know others than we do
	case j.listed:
	case len(j.seeds) == 0:
		j.at = time.Time{}
	case first >= 0:
		j.next, j.at, j.pace = first, now, joinFirst
	}
	m.out.changed = m.out.changed || m.joined() != hadJoined
	m.planHealing(now)
}

// joined reports that we know the cluster: there is none to ask, or a seed's whole List has come and those in it have answered
// or had the time to. Other seeds need not have.
func (m *membership) joined() bool {
	j := &m.joining
	if !j.listed {
		return len(j.seeds) == 0 && !j.hoped
	}
	isAnswered := len(m.provings)+len(j.missing) == 0
	return j.settle.IsZero() || isAnswered && m.hasTables()
}

// isMet reports that we, or a process that we have as a member, are at one of some seeds' addresses.
func (m *membership) isMet(seeds []netip.AddrPort) bool {
	return slices.ContainsFunc(seeds, func(s netip.AddrPort) bool {
		p := m.peers.byAddr[m.joining.placeOf(s)]
		return s == m.cfg.self || p != nil && p.isMember()
	})
}

// isUnanswered reports that there are seeds, and that none has ever answered.
func (m *membership) isUnanswered() bool {
	j := &m.joining
	if j.listed || len(j.seeds) == 0 && !j.hoped {
		return false
	}
	return !slices.ContainsFunc(j.seeds, func(s netip.AddrPort) bool { return m.peers.byAddr[j.placeOf(s)] != nil })
}

// hasTables reports that we have the tables of all peers.
func (m *membership) hasTables() bool {
	for _, p := range m.peers.list {
		if p.state == Alive && p.tver == 0 {
			return false
		}
	}
	return true
}

// tickJoin sends the next Join, [MEM-6].
func (m *membership) tickJoin(now time.Time) {
	j := &m.joining
	if !j.settle.IsZero() && !now.Before(j.settle) {
		j.settle, m.out.changed = time.Time{}, true
	}
	if j.at.IsZero() || now.Before(j.at) {
		return
	}
	if j.next >= len(j.seeds) {
		j.next, j.pace = 0, min(j.pace+j.pace/2, joinSlowest)
	}
	m.join(now, j.seeds[j.next])
	j.next++
}

// join asks a seed for its List, or for a link if it is no peer yet.
func (m *membership) join(now time.Time, seed netip.AddrPort) {
	j := &m.joining
	j.at = now.Add(j.pace)
	switch p := m.peers.byAddr[j.placeOf(seed)]; {
	case p != nil && p.isMember():
		m.continueJoin(now, p)
		j.at = later(now.Add(j.pace), j.askedAt.Add(joinAgain))
	case !m.isProving(seed):
		m.contactSeed(now, seed)
	}
}

// contactSeed opens to a seed. If that has been in vain for long and our address was told to us, we may be elsewhere, where no Offer comes.
func (m *membership) contactSeed(now time.Time, seed netip.AddrPort) {
	c := m.contact(now, seed)
	if m.learner.on && c != nil && now.Sub(c.began) >= contactFor {
		m.askAddress(seed)
	}
}

// isProving reports whether an address has offered a link that is not confirmed yet.
func (m *membership) isProving(addr netip.AddrPort) bool {
	return slices.ContainsFunc(m.provings, func(pr *proving) bool { return pr.addr == addr && !pr.again.IsZero() })
}

// continueJoin asks a seed that has become a peer.
func (m *membership) continueJoin(now time.Time, p *peer) { m.askList(now, p.addr, p.tie.token) }

// askList asks a seed for the List on a link, unless it was just asked. The first Confirm of a link does so too: that saves a round trip.
func (m *membership) askList(now time.Time, addr netip.AddrPort, link uint64) {
	j := &m.joining
	if j.listed || !j.isSeed(addr) || j.asked == addr && now.Before(j.askedAt.Add(joinAgain)) {
		return
	}
	j.asked, j.askedAt = addr, now
	m.send(link, wire.Join{Nonce: j.wholes.draw(m.rng)})
}

// noteJoiner remembers who joins through us.
func (m *membership) noteJoiner(now time.Time, addr netip.AddrPort) {
	j := &m.joining
	j.recent = slices.DeleteFunc(j.recent, func(r joiner) bool { return r.addr == addr || now.Sub(r.at) > joinRecent })
	if len(j.recent) < joinersMax {
		j.recent = append(j.recent, joiner{addr: addr, at: now})
	}
}

// addNews notes a new peer for the recent joiners.
func (m *membership) addNews(now time.Time, p *peer) {
	if len(m.joining.recent) == 0 {
		return
	}
	m.news = append(m.news, p.entry())
	if m.newsAt.IsZero() {
		m.newsAt = now.Add(newsDelay)
	}
}

// tickNews tells the recent joiners of the peers that came since, [MEM-8].
func (m *membership) tickNews(now time.Time) {
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

// planHealing keeps contact with offline peers and absent seeds going as long as there are any, [MEM-18].
func (m *membership) planHealing(now time.Time) {
	if m.healAt.IsZero() {
		m.healAt = now.Add(healEvery)
	}
}

// tickHealing contacts one of them at random; while we have not joined, more: any of the seeds may be the one that is up.
func (m *membership) tickHealing(now time.Time) {
	if m.healAt.IsZero() || now.Before(m.healAt) {
		return
	}
	m.healAt = time.Time{}
	lost := m.lost()
	if len(lost) == 0 {
		return
	}
	m.rng.Shuffle(len(lost), func(i, j int) { lost[i], lost[j] = lost[j], lost[i] })
	k := 1
	if !m.joined() {
		k = min(healSeeds, len(lost))
	}
	for _, addr := range lost[:k] {
		m.contact(now, addr)
	}
	m.planHealing(now)
}

// lost lists the addresses of offline peers, and of seeds where no peer is. A seed that is known under another address
// answers from there, and is left alone once we have joined.
func (m *membership) lost() []netip.AddrPort {
	var list []netip.AddrPort
	for _, p := range m.peers.list {
		if p.state == Offline {
			list = append(list, p.addr)
		}
	}
	j := &m.joining
	for _, s := range j.seeds {
		if m.peers.byAddr[j.placeOf(s)] == nil {
			list = append(list, s)
		}
	}
	return list
}
