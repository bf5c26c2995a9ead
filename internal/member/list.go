package member

import (
	"maps"
	"math"
	"net/netip"
	"slices"
	"time"

	"broach/internal/pace"
	"broach/internal/wire"
)

// Lists: who tells of whom, and what those who are told make of it.

const (
	askSlowest   = 5 * time.Second        // between two questions for those that are not met, after many, [AMP-4]
	missedFor    = 10 * time.Second       // how long an address is asked for that no List names any more
	listEntries  = 44                     // of 26 bytes, in a datagram of 1,200
	listPaid     = 29                     // of them with those that are named again, so that each is paid for
	listPause    = 30 * time.Millisecond  // between two whole Lists to the same peer, for each message of them
	listStrained = 300 * time.Millisecond // and for a strained node, to whomever
	// between two Lists that mend the view of a peer. Each wait is twice as long, as long as they do not help,
	listEvery   = time.Second
	listSlowest = time.Minute // up to this
)

// How many Opens a List should pay for, to each whom it names.
const (
	payNone  = 0            // who gets it knows most of them
	payOnce  = 1            // they are likely new to it
	payAgain = contactTries // one Open was not enough
)

// onJoin answers with the List, or with what of it is asked for.
func (m *Membership) onJoin(now time.Time, p *peer, msg wire.Join) {
	if len(msg.Wanted) == 0 {
		m.noteJoiner(now, p.Addr, msg.Nonce)
		switch {
		case m.isNew(now) && !m.joining.isSeed(p.Addr):
			m.joining.owing = true
		case m.moment(now) >= p.listAt:
			m.tellChunks(now, p, msg.Nonce, m.entries(), payOnce)
		}
		return
	}
	var found []wire.Process
	for _, a := range msg.Wanted {
		if q := m.peers.byAddr[a]; q != nil && q.isMember() {
			found = append(found, q.Process)
		}
	}
	if len(found) > 0 {
		m.tellChunks(now, p, msg.Nonce, found, payAgain)
	}
}

// tellChunks sends a list of peers. A long one is not sent to the same peer again within a second, and all together are
// bounded: who asks is not to make us send without end.
func (m *Membership) tellChunks(now time.Time, p *peer, echo uint64, entries []wire.Process, pay int) {
	chunks := chunksOf(echo, entries, pay)
	p.listAt = m.moment(now.Add(min(time.Duration(len(chunks))*listPause, time.Second)))
	for _, c := range chunks {
		if m.lists.Take(now, listsPerSec) {
			m.tell(p, c)
		}
	}
}

// chunksOf cuts a list of peers into messages; an empty one is a message too. echo is the nonce of the Join they
// answer, or 0. pay is how many Opens to each the messages should pay for.
func chunksOf(echo uint64, entries []wire.Process, pay int) []wire.List {
	each := listEntries
	if pay > payNone {
		each = listPaid
	}
	count := max((len(entries)+each-1)/each, 1)
	list := make([]wire.List, count)
	for i := range list {
		chunk := entries[i*each : min((i+1)*each, len(entries))]
		list[i] = wire.List{Echo: echo, Index: uint16(i), Count: uint16(count), Entries: paidFor(chunk, pay)}
	}
	return list
}

// paidFor names peers again until a List of them pays for as many Opens to each as it should, or is full: an entry has
// a third of the bytes that an Open costs, and less, [AMP-2].
func paidFor(entries []wire.Process, pay int) []wire.Process {
	cost := (pay*len(entries)*wire.OpenSize+creditFactor-1)/creditFactor - wire.ListOverhead
	count := min((cost+wire.EntrySize-1)/wire.EntrySize, listEntries)
	if count <= len(entries) {
		return entries
	}
	list := make([]wire.Process, count)
	for i := range list {
		list[i] = entries[i%len(entries)]
	}
	return list
}

// onList contacts those it does not know, as far as the List pays for that, [MEM-7] and [AMP-2].
func (m *Membership) onList(now time.Time, from *peer, src Source, msg wire.List) {
	if m.IsFull(now) {
		m.noteChunk(now, from, msg)
		return
	}
	missed := len(m.joining.missing)
	begun, paid := m.contactListed(now, from, msg, creditFactor*src.Size/wire.OpenSize)
	if len(m.joining.missing) > missed {
		m.planAsking(now)
	}
	m.spread(now, paid, begun)
	m.noteChunk(now, from, msg)
}

// contactListed sends one Open to each, as long as they are paid for, and returns those contacts and what is left. It
// begins anywhere, so that two Lists pay for different ones.
func (m *Membership) contactListed(now time.Time, from *peer, msg wire.List, paid int) (begun []*contact, _ int) {
	origin := m.joining.originOf(msg)
	mayYield := origin == fromOthers && m.joining.state != asksSeeds
	start := m.rng.IntN(len(msg.Entries) + 1)
	for i := range msg.Entries {
		e := msg.Entries[(start+i)%len(msg.Entries)]
		if !m.isNews(from, e) || m.declined.isFresh(now, e) {
			continue
		}
		m.miss(now, e.Addr)
		if paid == 0 || slices.ContainsFunc(begun, func(c *contact) bool { return c.addr == e.Addr }) {
			continue
		}
		if c := m.contactNamed(now, e.Addr, origin, mayYield && e.Boot < m.cfg.Boot); c != nil {
			begun = append(begun, c)
			paid--
		}
	}
	return begun, paid
}

// isNews reports whether a List names somebody whom we do not know, at an address that is of use, [MEM-26].
func (m *Membership) isNews(from *peer, e wire.Process) bool {
	if e.Boot == m.cfg.Boot || e.Addr == m.cfg.Self {
		return false
	}
	if !IsUsable(from.Addr, e.Addr) {
		m.out.Unusable++
		return false
	}
	p := m.peers.byAddr[e.Addr]
	isKnown := p != nil && p.Boot == e.Boot && p.state() != Offline
	return !isKnown && !m.isProving(e.Addr)
}

// spread lets what a List has paid for beyond the first Opens go to further ones.
func (m *Membership) spread(now time.Time, paid int, begun []*contact) {
	for range contactTries - 1 {
		for _, c := range begun {
			if paid == 0 {
				return
			}
			c.paid++
			paid--
			if c.at.IsZero() {
				c.at = now.Add(m.helloGap(1, m.crowd()))
				m.contacts.at = pace.Earliest(m.contacts.at, c.at)
			}
		}
	}
}

// noteChunk keeps account of the List that a seed sends.
func (m *Membership) noteChunk(now time.Time, from *peer, msg wire.List) {
	j := &m.joining
	if j.state != asksSeeds || !j.wholes.has(msg.Echo) {
		return
	}
	if j.from != from || j.chunks == nil {
		j.from, j.chunks = from, make(map[uint16]bool)
	}
	j.chunks[msg.Index] = true
	if len(j.chunks) >= int(msg.Count) {
		j.state, j.at, j.chunks = settles, now.Add(joinSettle), nil
		m.out.Changed = true
	}
}

// miss notes an address that a List has named, whether or not it could be contacted.
func (m *Membership) miss(now time.Time, addr netip.AddrPort) {
	j := &m.joining
	if _, isMissed := j.missing[addr]; !isMissed && len(j.missing) >= missingMax {
		return
	}
	if j.missing == nil {
		j.missing = make(map[netip.AddrPort]time.Time)
	}
	j.missing[addr] = now
}

// planAsking has those asked for soon that were named for the first time.
func (m *Membership) planAsking(now time.Time) {
	j := &m.joining
	j.asks = 1
	j.askAt = pace.Earliest(j.askAt, now.Add(m.askGap(j.asks, len(j.missing))))
}

// askGap is the wait before the n-th question for those that are not met. It is as long as that between hellos, at a
// loss of a quarter the reason is likely the same, but longer where many are missing: then a crowd joins, and most will
// come by themselves.
func (m *Membership) askGap(n uint8, missing int) time.Duration {
	gap := m.helloGap(n, 0)
	if missing > crowdFew {
		gap = max(gap, time.Duration(missing)*helloPace)
	}
	return min(gap, askSlowest)
}

// met notes that a process at an address has become a peer.
func (m *Membership) met(now time.Time, p *peer) {
	delete(m.joining.missing, p.Addr)
	m.continueJoin(now, p)
}

// tickAsking asks who has given us the List for those in it that we have not met: it pays for Opens to them once more,
// [AMP-4].
func (m *Membership) tickAsking(now time.Time) {
	j := &m.joining
	if j.askAt.IsZero() || now.Before(j.askAt) {
		return
	}
	j.askAt = time.Time{}
	maps.DeleteFunc(j.missing, func(addr netip.AddrPort, named time.Time) bool {
		p := m.peers.byAddr[addr]
		return now.Sub(named) >= missedFor || p != nil && p.isMember()
	})
	if len(j.missing) == 0 {
		j.missing, m.out.Changed = nil, true
		return
	}
	j.asks = min(j.asks+1, math.MaxUint8-1)
	j.askAt = now.Add(m.askGap(j.asks, len(j.missing)))
	if from := m.knower(); from != nil {
		m.tell(from, wire.Join{Nonce: j.parts.draw(m.rng), Wanted: m.someMissing()})
	}
}

// someMissing draws of those that are missing as many as a Join may ask for.
func (m *Membership) someMissing() []netip.AddrPort {
	wanted := slices.SortedFunc(maps.Keys(m.joining.missing), netip.AddrPort.Compare)
	m.rng.Shuffle(len(wanted), func(i, k int) { wanted[i], wanted[k] = wanted[k], wanted[i] })
	return wanted[:min(len(wanted), wire.MaxWanted)]
}

// knower is who is asked for those that we have not met: who has given us the List, or anybody else who is there.
func (m *Membership) knower() *peer {
	if p := m.joining.from; p != nil && p.position >= 0 && p.isMember() {
		return p
	}
	if some := m.pick(1, nil); len(some) > 0 {
		return some[0]
	}
	return nil
}
