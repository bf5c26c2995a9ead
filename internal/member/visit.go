package member

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"broach/internal/pace"
	"broach/internal/wire"
)

// What we do as a guest, [GST-5]. One seed, our host, is asked where functions are. What it finds is kept, and who
// offers a function is visited when a call needs it: then there is a peer with a link, of which nothing is expected but
// answers.

const (
	visitPing   = 3 * time.Second        // between two Pings on a link: the other end forgets us after 10 s
	visitAgain  = 250 * time.Millisecond // between two that are not answered
	visitDoubts = 2                      // of these until we open beside the link: the other end may not hold it
	visitKept   = 10 * time.Second       // how long is kept what no call needs
	visitOpens  = 8                      // to an address, and no more until it is named again: our host may lie of it
)

// visiting is what we know as a guest.
type visiting struct {
	host   *peer                   // who is asked; nil: nobody answers yet
	stays  map[*peer]*stay         // with whom there is a link
	wanted map[netip.AddrPort]want // addresses that calls need, or did
	found  map[string]discovery    // by the names of functions
	at     time.Time               // of the next look; zero: there is nothing to look at
}

// want is a call's need of an address. What came of it says nothing of a process that begins there later.
type want struct {
	at   moment
	boot uint64 // of the process that was found there; 0: none was
}

// stay is our time with a peer.
type stay struct {
	needed moment // when a call last needed it
	pingAt moment // when it is pinged next
	asked  moment // since when it has not answered; 0: it has
	tries  int    // Pings since then
}

// discovery is who offers a function, as our host said at a time.
type discovery struct {
	at        moment
	providers []wire.Provider
}

// Host is the link to who is asked where functions are; 0: there is none.
func (m *Membership) Host() uint64 {
	if m.visiting.host == nil {
		return 0
	}
	return m.visiting.host.tie.token
}

// UsableOf is what somebody has found, without the addresses that are of no use, [MEM-26]: they count as not listed.
func UsableOf(from netip.AddrPort, f wire.Found) wire.Found {
	listed := len(f.Providers)
	f.Providers = slices.DeleteFunc(f.Providers, func(p wire.Provider) bool { return !IsUsable(from, p.Addr) })
	f.More += uint32(listed - len(f.Providers))
	return f
}

// Found takes what our host says of who offers a function.
func (m *Membership) Found(now time.Time, name string, f wire.Found) {
	v := &m.visiting
	if len(f.Providers) == 0 {
		delete(v.found, name)
	} else {
		if v.found == nil {
			v.found = make(map[string]discovery)
		}
		v.found[name] = discovery{at: m.moment(now), providers: f.Providers}
	}
	for i := range f.Providers {
		if st := v.stays[m.peers.byAddr[f.Providers[i].Addr]]; st != nil {
			st.needed = m.moment(now)
		}
	}
	m.out.Changed = true
	m.lookBy(now.Add(visitKept))
}

// Visit contacts a provider, unless there is a link with it, or will be.
func (m *Membership) Visit(now time.Time, addr netip.AddrPort) {
	v := &m.visiting
	if m.IsLeaving() {
		return
	}
	if v.wanted == nil {
		v.wanted = make(map[netip.AddrPort]want)
	}
	boot := m.foundBoot(addr)
	v.wanted[addr] = want{m.moment(now), boot}
	m.lookBy(now.Add(visitKept))
	p := m.peers.byAddr[addr]
	if st := v.stays[p]; st != nil {
		st.needed = m.moment(now)
	}
	if m.isPending(addr) || v.stays[p] != nil && (boot == 0 || boot == p.Boot) {
		return
	}
	from := fromAnswer
	if m.joining.isSeed(addr) {
		from = fromUs
	}
	if c := m.newContact(now, contact{addr: addr, origin: from, paid: visitOpens}); c != nil {
		m.openTo(now, c)
	}
	m.out.Changed = true
}

// foundBoot is that of the process at an address, as it was shown last; 0: none was.
func (m *Membership) foundBoot(addr netip.AddrPort) uint64 {
	if v := WhoAt(m.shown, addr); v != nil {
		return v.Boot
	}
	return 0
}

// isPending reports whether a contact with an address goes on.
func (m *Membership) isPending(addr netip.AddrPort) bool {
	return m.contacts.byAddr[addr] != nil ||
		slices.ContainsFunc(m.provings, func(pr *proving) bool { return pr.Addr == addr })
}

// lookBy has tickVisits look at a time, or before.
func (m *Membership) lookBy(at time.Time) { m.visiting.at = pace.Earliest(m.visiting.at, at) }

// stayWith takes up a link that both ends know. Nobody stays with a second seed.
func (m *Membership) stayWith(now time.Time, id wire.Process, t tie) {
	v := &m.visiting
	p := m.peers.byAddr[id.Addr]
	if p != nil && p.Boot != id.Boot {
		m.lose(now, p)
		p = nil
	}
	isHost := m.joining.isSeed(id.Addr) && v.host == nil
	_, isWanted := v.wanted[id.Addr]
	switch {
	case p != nil:
		m.addTie(now, p, t)
	case !isHost && !isWanted, len(m.peers.list) >= m.cfg.MaxPeers:
		m.refuse(t)
		return
	default:
		p = m.arriveAt(now, id, t)
	}
	if m.dropProvings(id); isHost {
		m.settle(p)
	}
	m.out.Changed = true
}

// arriveAt makes a peer of who is visited.
func (m *Membership) arriveAt(now time.Time, id wire.Process, t tie) *peer {
	at := m.moment(now)
	p := &peer{Process: id, met: at, since: at, heard: at, due: at}
	m.peers.addPeer(p)
	m.peers.bindOnly(p, t)
	if m.visiting.stays == nil {
		m.visiting.stays = make(map[*peer]*stay)
	}
	m.visiting.stays[p] = &stay{needed: at, pingAt: m.moment(now.Add(visitPing))}
	m.lookBy(now.Add(visitPing))
	return p
}

// settle makes a seed our host. Others are contacted no more.
func (m *Membership) settle(p *peer) {
	m.visiting.host = p
	m.joining.state, m.joining.at = hasJoined, time.Time{}
	for _, s := range m.joining.seeds {
		if _, isWanted := m.visiting.wanted[s]; !isWanted && m.contacts.byAddr[s] != nil {
			m.endContact(m.contacts.byAddr[s])
		}
	}
	m.out.Changed = true
}

// lose ends the stay with a peer that is gone, or does not want us. In place of our host the next seed is asked: at
// once, if it was there for long.
func (m *Membership) lose(now time.Time, p *peer) {
	m.out.Offline = p.links(m.out.Offline)
	m.quit(p)
	if p != m.visiting.host {
		return
	}
	j := &m.joining
	m.visiting.host, j.state = nil, asksSeeds
	if now.Sub(m.time(p.met)) >= visitKept {
		j.pace = joinFirst
	}
	j.at = now
	if p.belief == hasLeft {
		j.at = now.Add(j.pace)
	}
}

// quit forgets a peer.
func (m *Membership) quit(p *peer) {
	delete(m.visiting.stays, p)
	m.forget(p)
}

// receiveAsGuest takes what comes on a link that we began.
func (m *Membership) receiveAsGuest(now time.Time, src Source, msg wire.Message) {
	if m.refused(now, src.Link, msg) {
		return
	}
	m.proven(now, src.Link)
	p := m.peers.byLink[src.Link]
	st := m.visiting.stays[p]
	if st == nil {
		return
	}
	p.heard, p.doubts = m.moment(now), 0
	if st.asked != 0 {
		st.asked, st.tries, st.pingAt = 0, 0, m.moment(now.Add(visitPing))
	}
	switch msg := msg.(type) {
	case wire.Ping:
		m.send(src.Link, wire.Pong(msg))
	case wire.Leave:
		p.belief = hasLeft
		m.lose(now, p)
	}
}

// tickVisits asks who is visited whether it is there, and ends what is needed no more.
func (m *Membership) tickVisits(now time.Time) {
	v := &m.visiting
	if v.at.IsZero() || now.Before(v.at) {
		return
	}
	v.at = time.Time{}
	for _, p := range slices.Clone(m.peers.list) {
		m.tickStay(now, p, v.stays[p])
	}
	old := m.moment(now.Add(-visitKept))
	before := len(v.found) + len(v.wanted)
	maps.DeleteFunc(v.found, func(_ string, f discovery) bool { return f.at <= old })
	maps.DeleteFunc(v.wanted, func(_ netip.AddrPort, w want) bool { return w.at <= old })
	if left := len(v.found) + len(v.wanted); left != before {
		m.out.Changed = true
	} else if left == 0 {
		return
	}
	m.lookBy(now.Add(visitPing))
}

// tickStay does what is due for one of them.
func (m *Membership) tickStay(now time.Time, p *peer, st *stay) {
	at := m.moment(now)
	switch {
	case st.asked != 0 && now.Sub(m.time(st.asked)) >= m.cfg.Silence:
		m.lose(now, p)
		return
	case p != m.visiting.host && now.Sub(m.time(st.needed)) >= visitKept && !m.cfg.IsBusy(now, p.tie.token):
		for _, token := range p.links(nil) {
			m.send(token, wire.Leave{})
		}
		m.quit(p)
		return
	case at >= st.pingAt:
		m.askStay(now, p, st)
	}
	next := m.time(st.pingAt)
	if st.asked != 0 {
		next = pace.Earliest(next, m.time(st.asked).Add(m.cfg.Silence))
	}
	m.lookBy(next)
}

// askStay sends a Ping. Who leaves some unanswered may not hold the link.
func (m *Membership) askStay(now time.Time, p *peer, st *stay) {
	if st.asked == 0 {
		st.asked = m.moment(now)
	}
	if st.tries++; st.tries > visitDoubts {
		m.doubtLink(now, p)
	}
	m.tell(p, wire.Ping{Nonce: m.rng.Uint64()})
	st.pingAt = m.moment(now.Add(visitAgain))
}

// unansweredAsGuest hears that calls are unanswered.
func (m *Membership) unansweredAsGuest(now time.Time, p *peer) {
	if st := m.visiting.stays[p]; st != nil && st.asked == 0 {
		m.askStay(now, p, st)
		m.lookBy(m.time(st.pingAt))
	}
}

// guestView lists who offers what we have asked for, and who is visited, sorted by address.
func (m *Membership) guestView() []*View {
	shown, before := m.viewsOfFound(), m.shown
	for _, p := range m.peers.list {
		if shown[p.Addr] == nil {
			shown[p.Addr] = &View{Facts: Facts{Process: p.Process}}
		}
	}
	list := make([]*View, 0, len(shown))
	for _, addr := range slices.SortedFunc(maps.Keys(shown), netip.AddrPort.Compare) {
		v := shown[addr]
		m.showLink(v)
		if old := whoAt(&before, addr); old != nil && old.saysAs(v) {
			v = old
		}
		list = append(list, v)
	}
	m.shown = list
	return list
}

// viewsOfFound are the providers with all that they offer, as far as we have asked. Of two processes at one address the
// one counts that was found last.
func (m *Membership) viewsOfFound() map[netip.AddrPort]*View {
	shown, at := make(map[netip.AddrPort]*View), make(map[netip.AddrPort]moment)
	for _, name := range slices.Sorted(maps.Keys(m.visiting.found)) {
		f := m.visiting.found[name]
		for _, row := range f.providers {
			v := shown[row.Addr]
			if v != nil && v.Boot != row.Boot && f.at < at[row.Addr] {
				continue
			}
			if v == nil || v.Boot != row.Boot {
				v = &View{Facts: Facts{Process: row.Process}}
				shown[row.Addr] = v
			}
			at[row.Addr] = max(at[row.Addr], f.at)
			v.Tver, v.Unsteady = max(v.Tver, row.Table), v.Unsteady || row.Last
			v.Functions = append(v.Functions, wire.Function{
				Name: name, Signature: row.Signature, Weight: row.Weight, Idempotent: row.Idempotent,
			})
		}
	}
	return shown
}

// showLink says how far we are with somebody.
func (m *Membership) showLink(v *View) {
	p := m.peers.byAddr[v.Addr]
	if p != nil && p.Boot == v.Boot {
		v.Link, v.Since = p.tie.token, p.since
		return
	}
	w, isWanted := m.visiting.wanted[v.Addr]
	v.Unreachable = isWanted && w.boot == v.Boot && !m.isPending(v.Addr)
}

// dropAll ends all stays, for we are at another address.
func (m *Membership) dropAll(now time.Time) {
	for _, p := range slices.Clone(m.peers.list) {
		m.tell(p, wire.Leave{})
		m.lose(now, p)
	}
}
