package broach

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"broach/internal/wire"
)

const (
	joinFirst   = 50 * time.Millisecond  // between two Joins at first
	joinSlowest = 5 * time.Second        // and after many
	joinAgain   = 250 * time.Millisecond // at least, to a seed with a link: it answers with a List of any length
	joinRecent  = 2 * time.Second        // how long a joiner is told of peers that come after it, [MEM-8]
	joinSettle  = time.Second            // what the addresses of a List have to answer before we count as joined
	newsDelay   = 5 * time.Millisecond   // collects peers that come at once into one List

	aliasMax = 8  // addresses of seeds that advertise another than we were told
	askedMax = 60 // addresses that are asked for at once

	healEvery = 500 * time.Millisecond // between contacts with peers that are offline, [MEM-18]
	healSeeds = 8                      // of them at once while we have not joined

	askFirst   = 200 * time.Millisecond // until a joiner asks for those that it has not met, [AMP-4]
	askSlowest = 5 * time.Second        // between two such questions, after many
	missedFor  = 10 * time.Second       // how long an address is asked for that no List names any more

	listEntries = 44                     // of 26 bytes, in a datagram of 1,200
	listPause   = 100 * time.Millisecond // between two whole Lists to the same peer
	listEvery   = time.Second            // between Lists sent to mend views
)

// joinState is how far we are with joining.
type joinState struct {
	seeds  []netip.AddrPort // without ourselves
	hoped  bool             // there are seeds whose addresses are not known yet
	next   int              // whose turn it is
	at     time.Time        // of the next Join; zero: none is needed
	pace   time.Duration    // between Joins
	nonces [4]uint64        // of the last Joins
	known  []netip.AddrPort // where seeds are that advertise another address than we were told
	listed bool             // a whole List has come
	settle time.Time        // when those in it have had their time to answer; zero: that is over
	from   *peer            // whose List is coming in, or has come
	chunks map[uint16]bool

	missing map[netip.AddrPort]time.Time // named by a List at a time, and not met yet
	askAt   time.Time                    // when to ask for them; zero: there are none
	askPace time.Duration

	recent  []joiner // who joined through us
	asked   *peer    // whom we asked for the List, as soon as there was a link
	askedAt time.Time
}

// joiner is a node that joined through us lately.
type joiner struct {
	addr netip.AddrPort
	at   time.Time
}

// isAnswer reports whether a nonce is that of one of our Joins.
func (j *joinState) isAnswer(echo uint64) bool {
	return echo != 0 && slices.Contains(j.nonces[:], echo)
}

// alias notes that the process at a seed's address advertises another.
func (j *joinState) alias(seed, addr netip.AddrPort) {
	if slices.Contains(j.seeds, seed) && !slices.Contains(j.known, addr) {
		j.known = append(j.known[max(0, len(j.known)+1-aliasMax):], addr)
	}
}

// isSeed reports whether an address is that of a seed.
func (j *joinState) isSeed(addr netip.AddrPort) bool {
	return slices.Contains(j.seeds, addr) || slices.Contains(j.known, addr)
}

// setSeeds takes the addresses of the seeds, of which our own is harmless, and whether more are hoped for.
func (m *membership) setSeeds(now time.Time, addrs []netip.AddrPort, hoped bool) {
	j := &m.joining
	j.hoped = hoped
	j.seeds = slices.DeleteFunc(slices.Clone(addrs), func(a netip.AddrPort) bool { return a == m.cfg.self })
	switch {
	case j.listed:
	case len(j.seeds) == 0:
		j.at = time.Time{}
	case j.at.IsZero():
		j.at, j.pace = now, joinFirst
	}
	m.planHealing(now)
}

// joined reports that we know the cluster: there is none to ask, or a seed's whole List has come and those in it have answered
// or had the time to.
func (m *membership) joined() bool {
	j := &m.joining
	if len(j.seeds) == 0 {
		return !j.hoped
	}
	isAnswered := m.contacts.waiting()+len(m.provings)+len(j.missing) == 0
	return j.listed && (j.settle.IsZero() || isAnswered && m.hasTables())
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
	switch p := m.peers.byAddr[seed]; {
	case m.isLearning():
		m.askAddress(seed)
	case p != nil && p.isMember():
		j.at = now.Add(max(j.pace, joinAgain))
		m.askList(p)
	case !m.isProving(seed):
		m.contact(now, seed, contactOnce, nil)
	}
}

// askList asks a peer for the whole List.
func (m *membership) askList(p *peer) {
	j := &m.joining
	copy(j.nonces[1:], j.nonces[:])
	j.nonces[0] = m.rng.Uint64() | 1
	m.tell(p, wire.Join{Nonce: j.nonces[0]})
}

// isProving reports whether an address has offered a link that is not confirmed yet.
func (m *membership) isProving(addr netip.AddrPort) bool {
	return slices.ContainsFunc(m.provings, func(pr *proving) bool { return pr.addr == addr && !pr.again.IsZero() })
}

// continueJoin asks a seed that has become a peer.
func (m *membership) continueJoin(now time.Time, p *peer) {
	if j := &m.joining; !j.listed && j.isSeed(p.addr) && (j.asked != p || !now.Before(j.askedAt.Add(joinAgain))) {
		j.asked, j.askedAt = p, now
		m.askList(p)
	}
}

// onJoin answers with the List, or with what of it is asked for.
func (m *membership) onJoin(now time.Time, p *peer, msg wire.Join) {
	if len(msg.Wanted) == 0 {
		m.noteJoiner(now, p.addr)
		if now.Sub(m.time(p.listed)) < listPause {
			return
		}
		p.listed = m.moment(now)
		m.tellChunks(p, msg.Nonce, m.entries())
		return
	}
	var found []wire.Entry
	for _, a := range msg.Wanted {
		if q := m.peers.byAddr[a]; q != nil && q.isMember() {
			found = append(found, q.entry())
		}
	}
	if len(found) > 0 {
		m.tellChunks(p, msg.Nonce, found)
	}
}

// tellChunks sends a list of peers.
func (m *membership) tellChunks(p *peer, echo uint64, entries []wire.Entry) {
	for _, c := range m.chunks(echo, entries) {
		m.tell(p, c)
	}
}

// chunks cuts a list of peers into messages; an empty one is a message too. echo is the nonce of the Join they answer, or 0.
func (m *membership) chunks(echo uint64, entries []wire.Entry) []wire.List {
	count := max((len(entries)+listEntries-1)/listEntries, 1)
	list := make([]wire.List, count)
	for i := range list {
		end := min((i+1)*listEntries, len(entries))
		list[i] = wire.List{Echo: echo, Index: uint16(i), Count: uint16(count), Entries: entries[i*listEntries : end]}
	}
	return list
}

// onList contacts those it does not know, as far as the List pays for that, [MEM-7] and [AMP-2]. It begins anywhere, so that two Lists pay for
// different ones.
func (m *membership) onList(now time.Time, from *peer, src source, msg wire.List) {
	from.pay(now, src.size)
	told := contactNew
	if m.joining.listed {
		told = contactYield // whoever is in it is told of us as well
	}
	start := m.rng.IntN(len(msg.Entries) + 1)
	for i := range msg.Entries {
		e := msg.Entries[(start+i)%len(msg.Entries)]
		p := m.peers.byAddr[e.Addr]
		if e.Boot == m.cfg.boot || p != nil && p.boot == e.Boot && p.state != Offline || m.isProving(e.Addr) {
			continue
		}
		how := told
		if e.Boot > m.cfg.boot {
			how = contactNew
		}
		m.miss(now, e.Addr)
		m.contact(now, e.Addr, how, from)
	}
	m.noteChunk(now, from, msg)
}

// noteChunk keeps account of the List that a seed sends.
func (m *membership) noteChunk(now time.Time, from *peer, msg wire.List) {
	j := &m.joining
	if j.listed || !j.isAnswer(msg.Echo) {
		return
	}
	if j.from != from || j.chunks == nil {
		j.from, j.chunks = from, make(map[uint16]bool)
	}
	j.chunks[msg.Index] = true
	if len(j.chunks) >= int(msg.Count) {
		j.listed, j.settle, j.at, j.chunks = true, now.Add(joinSettle), time.Time{}, nil
		m.out.changed = true
	}
}

// miss notes an address that a List has named, whether or not it could be contacted.
func (m *membership) miss(now time.Time, addr netip.AddrPort) {
	j := &m.joining
	if _, known := j.missing[addr]; !known && len(j.missing) >= missingMax {
		return
	}
	if j.missing == nil {
		j.missing = make(map[netip.AddrPort]time.Time)
	}
	j.missing[addr] = now
	if j.askAt.IsZero() {
		j.askAt, j.askPace = now.Add(askFirst), askFirst
	}
}

// met notes that a process at an address has become a peer.
func (m *membership) met(now time.Time, p *peer) {
	delete(m.joining.missing, p.addr)
	m.continueJoin(now, p)
}

// tickAsking asks who has given us the List for those in it that we have not met: it pays for Opens to them once more, [AMP-4].
func (m *membership) tickAsking(now time.Time) {
	j := &m.joining
	if j.askAt.IsZero() || now.Before(j.askAt) {
		return
	}
	j.askAt = time.Time{}
	maps.DeleteFunc(j.missing, func(addr netip.AddrPort, named time.Time) bool {
		p := m.peers.byAddr[addr]
		return now.Sub(named) >= missedFor || p != nil && p.isMember()
	})
	from := m.knower()
	if len(j.missing) == 0 || from == nil {
		j.missing, m.out.changed = nil, true
		return
	}
	j.askPace = min(2*j.askPace, askSlowest)
	j.askAt = now.Add(j.askPace)
	wanted := slices.SortedFunc(maps.Keys(j.missing), netip.AddrPort.Compare)
	m.rng.Shuffle(len(wanted), func(i, k int) { wanted[i], wanted[k] = wanted[k], wanted[i] })
	for chunk := range slices.Chunk(wanted[:min(len(wanted), askedMax)], wire.MaxWanted) {
		m.tell(from, wire.Join{Nonce: m.rng.Uint64() | 1, Wanted: chunk})
	}
}

// knower is who is asked for those that we have not met: who has given us the List, or anybody else who is there.
func (m *membership) knower() *peer {
	if p := m.joining.from; p != nil && p.position >= 0 && p.isMember() {
		return p
	}
	if some := m.pick(1, nil); len(some) > 0 {
		return some[0]
	}
	return nil
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
		m.tellChunks(p, 0, m.news)
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
		m.contact(now, addr, contactOnce, nil)
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
	for _, s := range m.joining.seeds {
		if m.peers.byAddr[s] == nil {
			list = append(list, s)
		}
	}
	return list
}
