package member

import (
	"time"

	"broach/internal/wire"
)

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

// note notes that a peer came back, which had gone offline at a time.
func (c *comeback) note(now, since moment) {
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
	m.back.note(m.moment(now), since)
	m.tellSome(now, p, since, func(q *peer) bool { return q.met >= since-moment(arrivedBefore) })
}

// tellNew tells others to a peer to which we have begun a link. Who was found by itself, as a seed or at the address of
// another, may know nobody but us. Who was found by a List of late may have come behind a cut: then it knows none on
// our side.
func (m *Membership) tellNew(now time.Time, p *peer, named bool) {
	switch {
	case !named:
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
