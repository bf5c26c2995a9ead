package member

import (
	"maps"
	"net/netip"
	"slices"
	"time"
)

// A seed is an address that somebody wrote down. The process there may be known by another one, may be ourselves, or,
// behind a balancer, one after another: so seeds are told apart by who answers, not by how they are written.

// seedAgain is the time between two Opens to a seed that is known by another address, or is ourselves: next time
// somebody else may answer.
const seedAgain = 10 * time.Second

// guise is what is known of a seed that is not what it is called.
type guise struct {
	addr  netip.AddrPort // that the process there advertises; its own if that is us
	again time.Time      // when it is contacted next
}

// SetSeeds takes the addresses of the seeds, each once, of which our own is harmless, and whether more are hoped for.
// Those that are new are tried at once.
func (m *Membership) SetSeeds(now time.Time, addrs []netip.AddrPort, hoped bool) {
	j := &m.joining
	wasSeed := setOf(j.seeds)
	j.named, j.hoped = slices.Clone(addrs), hoped
	j.seeds = slices.DeleteFunc(slices.Clone(addrs), func(a netip.AddrPort) bool { return a == m.cfg.Self })
	isSeed := setOf(j.seeds)
	maps.DeleteFunc(j.guises, func(s netip.AddrPort, _ guise) bool { return !isSeed[s] })
	first := slices.IndexFunc(j.seeds, func(a netip.AddrPort) bool { return !wasSeed[a] })
	switch {
	case len(j.seeds) == 0 && j.state == asksSeeds:
		j.at = time.Time{}
	case first >= 0 && j.state == asksSeeds:
		j.next, j.at, j.pace = first, now, joinFirst
	case first >= 0:
		m.healAt = now // they may know others than we do
	}
	m.planHealing(now)
	m.out.Changed = true // we may have joined, or not any more
}

// setOf is a list of addresses in which each is found at once: a name may lead to a thousand.
func setOf(addrs []netip.AddrPort) map[netip.AddrPort]bool {
	set := make(map[netip.AddrPort]bool, len(addrs))
	for _, a := range addrs {
		set[a] = true
	}
	return set
}

// alias notes that the process at a seed's address advertises another, or is this one. It reports whether the first is
// a seed.
func (j *joining) alias(now time.Time, seed, addr netip.AddrPort) bool {
	if !slices.Contains(j.seeds, seed) {
		return false
	}
	if j.guises == nil {
		j.guises = make(map[netip.AddrPort]guise)
	}
	j.guises[seed] = guise{addr: addr, again: now.Add(seedAgain)}
	return true
}

// rename takes up that we are known by another address: seeds that lead to us still do.
func (j *joining) rename(before, self netip.AddrPort) {
	for s, g := range j.guises {
		if g.addr == before {
			j.guises[s] = guise{addr: self, again: g.again}
		}
	}
}

// placeOf is where the process of a seed is.
func (j *joining) placeOf(seed netip.AddrPort) netip.AddrPort {
	if g, ok := j.guises[seed]; ok {
		return g.addr
	}
	return seed
}

// isSeed reports whether an address is that of a seed, or the one that it advertises.
func (j *joining) isSeed(addr netip.AddrPort) bool {
	return slices.ContainsFunc(j.seeds, func(s netip.AddrPort) bool { return s == addr || j.placeOf(s) == addr })
}

// areOurselves reports that no seed is known to be another process, nor may be: there is none, or all lead here.
func (m *Membership) areOurselves() bool {
	return !slices.ContainsFunc(m.joining.seeds,
		func(s netip.AddrPort) bool { return m.joining.placeOf(s) != m.cfg.Self })
}

// IsMet reports that a member, or we, are at one of some seeds.
func (m *Membership) IsMet(seeds []netip.AddrPort) bool {
	return slices.ContainsFunc(seeds, func(s netip.AddrPort) bool { return !m.isAbsent(s) })
}

// WasMet reports that a member is at one of some seeds, or was: it may be offline by now. We are one, too.
func (m *Membership) WasMet(seeds []netip.AddrPort) bool {
	return slices.ContainsFunc(seeds, func(s netip.AddrPort) bool {
		at := m.joining.placeOf(s)
		return at == m.cfg.Self || m.peers.byAddr[at] != nil
	})
}

// isAbsent reports that no member is where a seed is.
func (m *Membership) isAbsent(seed netip.AddrPort) bool {
	at := m.joining.placeOf(seed)
	p := m.peers.byAddr[at]
	return at != m.cfg.Self && (p == nil || !p.isMember())
}

// unmask notes that another process than us has answered at an address, and which one it advertises.
func (m *Membership) unmask(addr, advertised netip.AddrPort) {
	if m.joining.placeOf(addr) != advertised {
		delete(m.joining.guises, addr)
		m.out.Changed = true
	}
}

// CameBack is an Open of ours that came to ourselves.
type CameBack struct{ Token, Number uint64 }

// CameBack hears that an Open of ours has come to ourselves: the address is another name for us.
func (m *Membership) CameBack(now time.Time, b CameBack) {
	if seed, ok := m.learner.askedBy(b); ok {
		m.joining.alias(now, seed, m.cfg.Self)
		m.out.Changed = true
		return
	}
	c := m.contacts.byToken[b.Token]
	if c == nil {
		return
	}
	m.endContact(c)
	m.joining.alias(now, c.addr, m.cfg.Self)
	m.out.Changed = true
}

// IsHoping reports that there are seeds whose addresses are not known yet.
func (m *Membership) IsHoping() bool { return m.joining.hoped }

// SeedAddrs are the addresses of the seeds, without our own.
func (m *Membership) SeedAddrs() []netip.AddrPort { return m.joining.seeds }

// IsOwnSeed reports that there are seeds, and that all are this node, also by other names.
func (m *Membership) IsOwnSeed() bool {
	return len(m.joining.named) > 0 && !m.joining.hoped && m.areOurselves()
}

// OpensToSeeds are the Opens of the contacts with seeds that go on, so that they can be sent once more. While our
// address is not known there are none.
func (m *Membership) OpensToSeeds(most int) (list []Open) {
	if m.isLearning() {
		return nil
	}
	for _, s := range m.joining.seeds {
		if c := m.contacts.byAddr[s]; c != nil && len(list) < most {
			list = append(list, Open{To: s, Token: c.token, Rank: c.rank, Self: m.cfg.Self})
		}
	}
	return list
}

// SeedStanding is how far we are with a seed.
type SeedStanding uint8

const (
	SeedSilent  SeedStanding = iota // nobody has answered from there
	SeedIsSelf                      // it is ourselves
	SeedIsThere                     // it is a member
	SeedAnswers                     // it has offered a link, and nothing has come on that yet
)

// SeedStanding is that of a seed, and where the process there is.
func (m *Membership) SeedStanding(seed netip.AddrPort) (at netip.AddrPort, _ SeedStanding) {
	at = m.joining.placeOf(seed)
	switch p := m.peers.byAddr[at]; {
	case at == m.cfg.Self:
		return at, SeedIsSelf
	case p != nil && p.isMember():
		return at, SeedIsThere
	case slices.ContainsFunc(m.provings, func(pr *proving) bool { return pr.Addr == at }):
		return at, SeedAnswers
	}
	return at, SeedSilent
}
