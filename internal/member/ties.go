package member

import (
	"slices"
	"time"
)

// Which links of a peer stand beside each other, [LNK-7].

// others are the links of a peer beside its best. They take no room in a peer that has none.
func (p *peer) others() []tie {
	if p.older == nil {
		return nil
	}
	return *p.older
}

func (p *peer) setOthers(list []tie) {
	p.older = nil
	if len(list) > 0 {
		p.older = &list
	}
}

// addTie gives a peer another link. The best is preferred, the others end what they have begun; of three one goes, but
// not the new one: the other end has it, and may have let another go for it. Which Confirms make none is the reader's
// to say.
func (m *Membership) addTie(now time.Time, p *peer, t tie) {
	m.peers.byLink[t.token] = p
	if p.older != nil {
		m.dropThird(now, p, t)
	}
	if p.tie.token == 0 {
		m.peers.bindOnly(p, t)
		return
	}
	m.place(p, t)
}

// place puts another link of a peer in its place among those that there are.
func (m *Membership) place(p *peer, t tie) {
	if t.isHigher(p.tie) {
		t, p.tie = p.tie, t
	}
	others := append(p.others(), t)
	slices.SortFunc(others, func(a, b tie) int { return b.order.Compare(a.order) })
	p.setOthers(others)
	p.doubts = 0
	m.out.Succeed = append(m.out.Succeed, Succession{From: t.token, To: p.tie.token})
	m.out.Changed = true
}

// dropThird makes room for another link of a peer that has two: the lowest goes on which no calls are in flight. That
// is the best only if the new one is better yet: the other end goes by it. Where none goes three stand, and of four the
// lowest other goes in any case.
func (m *Membership) dropThird(now time.Time, p *peer, t tie) {
	for i, other := range slices.Backward(p.others()) {
		if !m.cfg.IsBusy(now, other.token) {
			m.cutOlder(p, i)
			return
		}
	}
	switch best := p.tie.token; {
	case t.isHigher(p.tie) && !m.cfg.IsBusy(now, best):
		m.cutBest(p)
		m.out.Succeed = append(m.out.Succeed, Succession{From: best, To: t.token}) // others lead to it, as do routes
	case len(p.others()) == tiesMost-1:
		m.cutOlder(p, tiesMost-2)
	}
}

// areBusy reports whether calls are in flight on all links of a peer.
func (m *Membership) areBusy(now time.Time, p *peer) bool {
	return !slices.ContainsFunc(p.links(nil), func(token uint64) bool { return !m.cfg.IsBusy(now, token) })
}

// Ended hears that a link which had another beside it is over.
func (m *Membership) Ended(token uint64) {
	p := m.peers.byLink[token]
	if p == nil {
		return
	}
	if i := slices.IndexFunc(p.others(), func(t tie) bool { return t.token == token }); i >= 0 {
		m.cutOlder(p, i)
	}
}

// cut closes a link of a peer.
func (m *Membership) cut(t tie) {
	delete(m.peers.byLink, t.token)
	m.out.Close = append(m.out.Close, t.token)
}

// cutOlder closes a link of a peer that has a better one beside it.
func (m *Membership) cutOlder(p *peer, i int) {
	m.cut(p.others()[i])
	p.setOthers(slices.Delete(p.others(), i, i+1))
}

// cutBest closes the best link of a peer. The next one takes its place, if there is one.
func (m *Membership) cutBest(p *peer) {
	m.cut(p.tie)
	p.tie = tie{}
	if others := p.others(); len(others) > 0 {
		p.tie = others[0]
		p.setOthers(slices.Delete(others, 0, 1))
	}
}

// A Succession says that a link gives way to a better one: calls begin on To from now on.
type Succession struct{ From, To uint64 }
