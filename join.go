package broach

import (
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

	healEvery = 500 * time.Millisecond // between contacts with peers that are offline, [MEM-18]
	healSeeds = 8                      // of them at once while we have not joined

	listEntries = 42          // of 27 bytes with IPv6 addresses, in a datagram of 1,200
	listEvery   = time.Second // between Lists sent to mend views
)

// joinState is how far we are with joining.
type joinState struct {
	seeds  []netip.AddrPort // without ourselves
	hoped  bool             // there are seeds whose addresses are not known yet
	next   int              // whose turn it is
	at     time.Time        // of the next Join; zero: none is needed
	pace   time.Duration    // between Joins
	nonces [4]uint64        // of the last Joins
	listed bool             // a whole List has come
	settle time.Time        // when those in it have had their time to answer; zero: that is over
	from   uint64           // whose List is coming in
	chunks map[uint16]bool
	recent []joiner // who joined through us
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
	return j.listed && (j.settle.IsZero() || m.contacts.waiting() == 0 && m.hasTables(j.from))
}

// hasTables reports that the seed is a peer, and that we have the tables of all peers.
func (m *membership) hasTables(seed uint64) bool {
	for _, p := range m.peers.list {
		if p.state == Alive && p.tver == 0 {
			return false
		}
	}
	return m.peers.byBoot[seed] != nil
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

// join asks a seed, on its link if it is a peer already.
func (m *membership) join(now time.Time, seed netip.AddrPort) {
	j := &m.joining
	j.at = now.Add(j.pace)
	copy(j.nonces[1:], j.nonces[:])
	j.nonces[0] = m.rng.Uint64() | 1
	msg := wire.Join{Nonce: j.nonces[0], Addr: m.cfg.self}
	if p := m.peers.byAddr[seed]; p != nil && p.isMember() {
		j.at = now.Add(max(j.pace, joinAgain))
		m.tell(p, msg)
		return
	}
	m.tellAddr(seed, msg)
}

// continueJoin asks a seed that has become a peer for the whole List: before, it could send no more than three datagrams.
func (m *membership) continueJoin(now time.Time, p *peer) {
	if j := &m.joining; !j.listed && slices.Contains(j.seeds, p.addr) {
		m.join(now, p.addr)
	}
}

// onJoin answers a joiner with Welcome and the List; if it has proven nothing yet, with no more than [MEM-5] allows.
func (m *membership) onJoin(now time.Time, src source, msg wire.Join) {
	switch {
	case msg.Addr.Addr().IsUnspecified():
		m.learn(now, src, msg)
		return
	case msg.Addr == m.cfg.self || m.refuses(src, msg.Addr):
		return
	}
	m.noteJoiner(now, msg.Addr)
	chunks := m.chunks(msg.Nonce, m.entries())
	if p := m.peers.byBoot[src.boot]; p != nil && src.linked {
		for _, c := range chunks {
			m.tell(p, c)
		}
		return
	}
	welcome := wire.Welcome{Hello: m.hello(0, msg.Nonce, 0, 0)}
	spent := wire.HeaderSize + len(welcome.Append(nil))
	if spent > answerTimes*src.size || !m.answer(now, msg.Addr, welcome) {
		return
	}
	for _, c := range chunks {
		spent += wire.HeaderSize + len(c.Append(nil))
		if spent > answerTimes*src.size || !m.answer(now, msg.Addr, c) {
			return
		}
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

// onList contacts those it does not know, [MEM-7]. From outside of a link only seeds are listened to.
func (m *membership) onList(now time.Time, src source, msg wire.List) {
	j := &m.joining
	if !src.linked && !slices.Contains(j.seeds, src.addr) {
		return
	}
	told := contactNew
	if j.listed {
		told = contactYield // whoever is in it is told of us as well
	}
	for _, e := range msg.Entries {
		p := m.peers.byAddr[e.Addr]
		if e.Boot == m.cfg.boot || m.past.has(e.Boot) || p != nil && p.boot == e.Boot && p.isMember() {
			continue
		}
		how := told
		if e.Boot > m.cfg.boot {
			how = contactNew
		}
		m.contact(now, e.Addr, how)
	}
	m.noteChunk(now, src.boot, msg)
}

// noteChunk keeps account of the List that a seed sends.
func (m *membership) noteChunk(now time.Time, boot uint64, msg wire.List) {
	j := &m.joining
	if j.listed || !j.isAnswer(msg.Echo) {
		return
	}
	if j.from != boot {
		j.from, j.chunks = boot, make(map[uint16]bool)
	}
	j.chunks[msg.Index] = true
	if len(j.chunks) >= int(msg.Count) {
		j.listed, j.settle, j.at, j.chunks = true, now.Add(joinSettle), time.Time{}, nil
		m.out.changed = true
	}
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
	chunks := m.chunks(0, m.news)
	for _, r := range m.joining.recent {
		p := m.peers.byAddr[r.addr]
		if p == nil || !p.isMember() || now.Sub(r.at) > joinRecent {
			continue
		}
		for _, c := range chunks {
			m.tell(p, c)
		}
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
		m.contact(now, addr, contactOnce)
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
