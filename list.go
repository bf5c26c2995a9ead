package broach

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"broach/internal/wire"
)

// Lists: who tells of whom, and what those who are told make of it.

const (
	askFirst    = 200 * time.Millisecond // until a joiner asks for those that it has not met, [AMP-4]
	askSlowest  = 5 * time.Second        // between two such questions, after many
	missedFor   = 10 * time.Second       // how long an address is asked for that no List names any more
	askedMax    = 60                     // addresses that are asked for at once
	listEntries = 44                     // of 26 bytes, in a datagram of 1,200
	listPause   = 100 * time.Millisecond // between two whole Lists to the same peer, for each message of them
	listEvery   = time.Second            // between Lists sent to mend views
)

// onJoin answers with the List, or with what of it is asked for.
func (m *membership) onJoin(now time.Time, p *peer, msg wire.Join) {
	if len(msg.Wanted) == 0 {
		m.noteJoiner(now, p.addr)
		if m.moment(now) >= p.listAt {
			m.tellChunks(now, p, msg.Nonce, m.entries())
		}
		return
	}
	var found []wire.Entry
	for _, a := range msg.Wanted {
		if q := m.peers.byAddr[a]; q != nil && q.isMember() {
			found = append(found, q.entry())
		}
	}
	if len(found) > 0 {
		m.tellChunks(now, p, msg.Nonce, found)
	}
}

// tellChunks sends a list of peers. A long one is not sent to the same peer again within a second, and all together are bounded: who asks is not
// to make us send without end.
func (m *membership) tellChunks(now time.Time, p *peer, echo uint64, entries []wire.Entry) {
	chunks := m.chunks(echo, entries)
	p.listAt = m.moment(now.Add(min(time.Duration(len(chunks))*listPause, time.Second)))
	for _, c := range chunks {
		if m.lists.take(now, listsPerSec) {
			m.tell(p, c)
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

// onList contacts those it does not know, as far as the List pays for that, [MEM-7] and [AMP-2]. It begins anywhere, so that two Lists pay for
// different ones.
func (m *membership) onList(now time.Time, from *peer, src source, msg wire.List) {
	paid, own := creditFactor*src.size/wire.OpenSize, m.joining.isAnswer(msg.Echo)
	var begun []*contact
	start := m.rng.IntN(len(msg.Entries) + 1)
	for i := range msg.Entries {
		e := msg.Entries[(start+i)%len(msg.Entries)]
		if !m.isNews(e) {
			continue
		}
		m.miss(now, e.Addr)
		if paid == 0 {
			continue
		}
		if c := m.contactNamed(now, e.Addr, own, m.joining.listed && e.Boot < m.cfg.boot); c != nil {
			begun = append(begun, c)
			paid--
		}
	}
	m.spread(now, paid, begun)
	m.noteChunk(now, from, msg)
}

// isNews reports whether a List names somebody whom we do not know.
func (m *membership) isNews(e wire.Entry) bool {
	p := m.peers.byAddr[e.Addr]
	isKnown := p != nil && p.boot == e.Boot && p.state != Offline
	return e.Boot != m.cfg.boot && e.Addr != m.cfg.self && !isKnown && !m.isProving(e.Addr)
}

// spread lets what a List has paid for beyond the first Opens go to further ones.
func (m *membership) spread(now time.Time, paid int, begun []*contact) {
	for range contactTries - 1 {
		for _, c := range begun {
			if paid == 0 {
				return
			}
			c.paid++
			paid--
			if c.at.IsZero() {
				c.at = now.Add(helloFirst)
				m.contacts.at = earliest(m.contacts.at, c.at)
			}
		}
	}
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
