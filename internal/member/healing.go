package member

import (
	"net/netip"
	"slices"
	"time"

	"broach/internal/wire"
)

// Healing: contact with those that were lost goes on as long as there are any, [MEM-18].

const (
	healEvery = 500 * time.Millisecond // between two rounds
	healPause = 10 * time.Millisecond  // between two of those that one who came back begins, and
	healEach  = time.Second / 2000     // for each Open of the first
	healSeeds = 8                      // that are contacted in one,
	healAlone = 8                      // and others, of who has nobody
)

// planHealing begins it.
func (m *Membership) planHealing(now time.Time) {
	if m.healAt.IsZero() {
		m.healAt = now.Add(healEvery)
	}
}

// HealNow has all contacted that healing would contact soon.
func (m *Membership) HealNow(now time.Time) { m.healAt = now }

// tickHealing contacts one offline peer at random, and of the seeds where nobody is as many as should be all: a process
// that begins anew there knows nobody, and others come to it meanwhile. Who has nobody contacts more peers: those on
// its side of a cut may not look for it, for they believe that it has left.
func (m *Membership) tickHealing(now time.Time) {
	if m.healAt.IsZero() || now.Before(m.healAt) {
		return
	}
	m.healAt = time.Time{}
	seeds, offline, count := m.seedsToTry(now), m.offlinePeers(), 1
	if !m.peers.hasOther(nil) {
		count = healAlone
	}
	for _, addr := range append(some(m, seeds, healSeeds), some(m, offline, count)...) {
		m.contact(now, addr)
	}
	if len(offline)+len(m.joining.guises) > 0 || slices.ContainsFunc(m.joining.seeds, m.isAbsent) {
		m.planHealing(now)
	}
}

// contactOffline contacts all that are offline, because one of them came back: a cut has healed, and the others behind
// it are there as well. When many come back at once, one of them is enough.
func (m *Membership) contactOffline(now time.Time) {
	if m.moment(now) < m.healNext {
		return
	}
	opens := contactTries * m.contactAll(now, func(p *peer) bool { return p.state() == Offline })
	m.healNext = m.moment(now.Add(max(healPause, time.Duration(opens)*healEach)))
}

// some draws up to k of a list, which it mixes.
func some[T any](m *Membership, list []T, k int) []T {
	m.rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list[:min(k, len(list))]
}

// seedsToTry lists the seeds where no member is, and now and then those that are not what they are called.
func (m *Membership) seedsToTry(now time.Time) (list []netip.AddrPort) {
	j := &m.joining
	for _, s := range j.seeds {
		g, isOther := j.guises[s]
		if isOther && !now.Before(g.again) {
			j.alias(now, s, g.addr)
			list = append(list, s)
		} else if m.isAbsent(s) {
			list = append(list, s)
		}
	}
	return list
}

// offlinePeers lists the addresses of offline peers that are no seeds.
func (m *Membership) offlinePeers() (list []netip.AddrPort) {
	isSeed := setOf(m.joining.seeds)
	for _, p := range m.peers.list {
		if p.state() == Offline && !isSeed[p.Addr] {
			list = append(list, p.Addr)
		}
	}
	return list
}

// Arrivals: who comes back from behind a cut has not heard of those who came to this side meanwhile, [MEM-33].

const (
	arrivedBefore = 5 * time.Second // how long a peer may be out of reach before it is offline
	arrivalsFor   = 2 * time.Second // how long after a peer came back newcomers are told of the others
	arrivalsNamed = 8               // times, if those who were there before name as many each
)

// comeback is about the peers that came back within arrivalsFor of each other.
type comeback struct {
	began moment // when the first did
	at    moment // when the last did; 0: never
	since moment // when the first of them went offline
}

// noteReturn notes that a peer came back, which had gone offline at a time.
func (c *comeback) noteReturn(now, since moment) {
	if !c.isFresh(now) {
		c.began, c.since = now, since
	}
	c.at, c.since = now, min(c.since, since)
}

// isFresh reports that a peer came back lately.
func (c *comeback) isFresh(now moment) bool { return c.at != 0 && now <= c.at+moment(arrivalsFor) }

// tellArrivals tells a peer that came back of those who came since it went offline, or shortly before. It goes along
// with the hello.
func (m *Membership) tellArrivals(now time.Time, p *peer, since moment) {
	m.back.noteReturn(m.moment(now), since)
	m.tellSome(now, p, since, func(q *peer) bool { return q.met >= since-moment(arrivedBefore) })
}

// tellNew tells others to a peer to which we have begun a link. Who was found by itself, as a seed or at the address of
// another, may know nobody but us. Who was found by a List of late may have come behind a cut: then it knows none on
// our side.
func (m *Membership) tellNew(now time.Time, p *peer, origin origin) {
	switch {
	case origin == fromUs:
		m.tellOfAll(now, p)
	case m.back.isFresh(m.moment(now)):
		m.tellSome(now, p, m.back.since, func(q *peer) bool { return q.since < m.back.began })
	}
}

// tellSome tells a peer of members of a kind, or of as many as one datagram has room for: all who have been here since
// before a time tell of some. Where few have, each tells of more. Among many that are about to meet it is no use.
func (m *Membership) tellSome(now time.Time, p *peer, since moment, isMeant func(*peer) bool) {
	if m.isCrowded() {
		return
	}
	tellers, list := 1, []wire.Process(nil)
	for _, q := range m.peers.list {
		if q == p || !q.isMember() {
			continue
		}
		if q.since < since {
			tellers++
		}
		if isMeant(q) {
			list = append(list, q.Process)
		}
	}
	if len(list) > 0 {
		count := max(listPaid, arrivalsNamed*len(list)/tellers)
		m.tellChunks(now, p, 0, some(m, list, count), payOnce)
	}
}
