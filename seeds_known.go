package broach

import (
	"net/netip"
	"slices"
	"time"
)

// A seed is an address that somebody wrote down. The process there may be known by another one, may be ourselves, or, behind a proxy, one after
// another: so seeds are told apart by who answers, not by how they are written.

// selfAgain is how long a seed that leads to ourselves is left alone: another process may have the address some day.
const selfAgain = 10 * time.Second

// setSeeds takes the addresses of the seeds, of which our own is harmless, and whether more are hoped for. Seeds that are new are tried at once.
func (m *membership) setSeeds(now time.Time, addrs []netip.AddrPort, hoped bool) {
	j, before := &m.joining, m.joining.seeds
	j.hoped, j.seeds = hoped, nil
	for _, a := range addrs {
		if a != m.cfg.self && !slices.Contains(j.seeds, a) {
			j.seeds = append(j.seeds, a)
		}
	}
	j.forgetSeeds()
	switch {
	case len(j.seeds) == 0 && !j.listed:
		j.at = time.Time{}
	case j.at.IsZero() && !j.listed:
		j.at, j.pace = now, joinFirst
	case slices.ContainsFunc(j.seeds, func(s netip.AddrPort) bool { return !slices.Contains(before, s) }):
		m.healAt = now
	}
	m.planHealing(now)
	m.out.changed = true // we may have joined, or not any more
}

// forgetSeeds forgets what was known of addresses that are none of the seeds any more.
func (j *joinState) forgetSeeds() {
	isGone := func(s netip.AddrPort) bool { return !slices.Contains(j.seeds, s) }
	for s := range j.others {
		if isGone(s) {
			delete(j.others, s)
		}
	}
	for s := range j.selves {
		if isGone(s) {
			delete(j.selves, s)
		}
	}
}

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

// answeredBy notes that another process has answered at an address, and which one it advertises.
func (m *membership) answeredBy(seed, addr netip.AddrPort) {
	j := &m.joining
	if seed == addr {
		delete(j.others, seed)
	}
	if _, isSelf := j.selves[seed]; isSelf {
		delete(j.selves, seed)
		m.out.changed = true
	}
}

// cameBack hears that an Open of ours has come to ourselves: the address is another name for us.
func (m *membership) cameBack(now time.Time, token uint64) {
	c, j := m.contacts.byToken[token], &m.joining
	if c == nil {
		return
	}
	m.endContact(c)
	if slices.Contains(j.seeds, c.addr) {
		if j.selves == nil {
			j.selves = make(map[netip.AddrPort]time.Time)
		}
		delete(j.others, c.addr)
		j.selves[c.addr], m.out.changed = now, true
	}
}
