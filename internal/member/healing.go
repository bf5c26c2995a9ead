package member

import (
	"net/netip"
	"slices"
	"time"
)

// Healing: contact with those that were lost goes on as long as there are any, [MEM-18].

const (
	healEvery = 500 * time.Millisecond // between two rounds
	healPause = 10 * time.Millisecond  // between two of those that one who came back begins, and
	healEach  = time.Second / 2000     // for each Open of the first
	healSeeds = 8                      // that are contacted in one
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
// that begins anew there knows nobody, and others come to it meanwhile.
func (m *Membership) tickHealing(now time.Time) {
	if m.healAt.IsZero() || now.Before(m.healAt) {
		return
	}
	m.healAt = time.Time{}
	seeds, offline := m.seedsToTry(now), m.offlinePeers()
	for _, addr := range append(some(m, seeds, healSeeds), some(m, offline, 1)...) {
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
	opens := 0
	for _, p := range m.peers.list {
		if p.state == Offline {
			m.contact(now, p.Addr)
			opens++
		}
	}
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
		if p.state == Offline && !isSeed[p.Addr] {
			list = append(list, p.Addr)
		}
	}
	return list
}
