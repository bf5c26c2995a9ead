package member

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"broach/internal/wire"
)

// A table is work: to decode it, to find what has changed, to keep it. What a peer may cause of that depends on what
// all of them offer together, so that all peers together cannot cause more than one, and tables of a small cluster
// never wait.
const (
	pullEvery    = 100 * time.Millisecond // between two pulls from a peer, and what a hello has to come by itself
	crowdedEvery = time.Minute            // between two pulls of a table that finds no room, or cannot be decoded
	tableGap     = 5 * time.Microsecond   // between two tables of a peer, for each row that the peers offer
	deltaGap     = 1 * time.Microsecond   // likewise, of changes
	tableAhead   = 100 * time.Millisecond // of that a peer may run ahead: programs register functions in bursts
)

// A pull is how far we are with asking for the table of a peer: from when on that may be done, or one of these. It is
// planned by noticeTable, sent by stepMember, and over with Pulled.
type pull moment

const (
	noPull   pull = 0  // it is not wanted
	pullSent pull = -1 // it was asked for, and the answer has not come
)

// plannedAt is from when on a table may be pulled; 0: that is not planned.
func (q pull) plannedAt() moment { return max(moment(q), 0) }

// withoutPlan is a pull when the table has come by itself. The answer to one that was sent is still to come.
func (q pull) withoutPlan() pull { return min(q, noPull) }

// tableSize is what tables take up.
type tableSize struct{ rows, bytes uint32 }

// tableSizeOf measures a table. The bytes are those of its words.
func tableSizeOf(table []wire.Function) tableSize {
	s := tableSize{rows: uint32(len(table))}
	for i := range table {
		s.bytes += uint32(len(table[i].Name) + len(table[i].Signature) + len(table[i].Doc))
	}
	return s
}

// tableLimits are those of all tables together.
var tableLimits = [...]tableLimit{
	{RowsMax, func(s tableSize) int { return int(s.rows) }},
	{RowBytesMax, func(s tableSize) int { return int(s.bytes) }},
}

type tableLimit struct {
	most int
	of   func(tableSize) int
}

// fits reports whether so much more is within the limit.
func (l tableLimit) fits(held, more tableSize) bool { return l.of(held)+l.of(more) <= l.most }

// fits reports whether so much more is within the limits.
func (s tableSize) fits(more tableSize) bool {
	return !slices.ContainsFunc(tableLimits[:], func(l tableLimit) bool { return !l.fits(s, more) })
}

// Pulled takes the answer to Effects.Pull.
func (m *Membership) Pulled(now time.Time, id wire.Process, version uint32, table []byte, ok bool) {
	p := m.peers.byAddr[id.Addr]
	if p == nil || p.Boot != id.Boot {
		return
	}
	if p.pull == pullSent {
		p.pull = noPull
	}
	if ok {
		m.takeTable(now, p, version, table)
	}
	m.noticeTable(now, p, p.tableSeen)
}

// takeTable replaces the table of a peer by a newer one, [TAB-2], or by one that found no room. A table that cannot be
// decoded changes nothing, [TAB-1].
func (m *Membership) takeTable(now time.Time, p *peer, version uint32, table []byte) {
	if version < p.tver || version == p.tver && !p.refused || !m.mayTake(now, p, tableGap) {
		return
	}
	functions, err := wire.ConsumeTable(table)
	if err != nil {
		m.spoil(p, version)
		return
	}
	m.holdTable(p, version, functions)
}

// spoil refuses a table that cannot be decoded. What the peer offered before stays. The version counts as held, or the
// peer would say it again and again; it may be better when it is pulled.
func (m *Membership) spoil(p *peer, version uint32) {
	p.tver, p.tableSeen, p.pull = version, max(version, p.tableSeen), p.pull.withoutPlan()
	if !p.refused {
		p.refused = true
		m.out.Spoilt = append(m.out.Spoilt, p.Process)
	}
}

// mayTake reports whether it is time for another table of a peer, or another change. What comes too early is pulled
// later,
// [TAB-8].
func (m *Membership) mayTake(now time.Time, p *peer, gap time.Duration) bool {
	at := m.moment(now)
	if p.tableAt > at+moment(tableAhead) {
		return false
	}
	p.tableAt = max(p.tableAt, at) + moment(m.held.rows)*moment(gap)
	return true
}

// holdTable makes functions what a peer offers, if there is room for them; else it offers nothing, [TAB-9].
func (m *Membership) holdTable(p *peer, version uint32, functions []wire.Function) {
	m.emptyTable(p)
	p.tver, p.tableSeen, p.pull = version, max(version, p.tableSeen), p.pull.withoutPlan()
	size := tableSizeOf(functions)
	if m.clearRoom(size) {
		p.refused, p.functions, p.tableSize = false, functions, size
		m.held.rows += size.rows
		m.held.bytes += size.bytes
	} else {
		m.crowdOut(p)
	}
	m.out.Changed = true
}

// emptyTable gives up what a peer offers.
func (m *Membership) emptyTable(p *peer) {
	m.held.rows -= p.tableSize.rows
	m.held.bytes -= p.tableSize.bytes
	p.functions, p.tableSize = nil, tableSize{}
}

// crowdOut leaves a peer without room for its table.
func (m *Membership) crowdOut(p *peer) {
	m.emptyTable(p)
	if !p.refused {
		p.refused = true
		m.out.Crowded = append(m.out.Crowded, p.Process)
	}
}

// clearRoom makes room for a table, if it can: by the tables of peers that are not there, and where that is not enough,
// by the one that takes most of what there is too little of, if that is more than this one is going to take. So neither
// of two can take the room from the other in turn, and no number of peers that offer much keeps one out that offers no
// more than its part.
func (m *Membership) clearRoom(size tableSize) bool {
	if m.held.fits(size) || m.clearTables(size) {
		return true
	}
	var giving []*peer
	for _, l := range tableLimits {
		if l.fits(m.held, size) {
			continue
		}
		p := m.largestTable(l)
		if l.of(p.tableSize) <= l.of(size) {
			return false
		}
		giving = append(giving, p)
	}
	for _, p := range giving {
		m.crowdOut(p)
	}
	return true
}

// largestTable returns the peer whose table takes most of a limit, of equals the one that came last. There is one:
// whose table it is about.
func (m *Membership) largestTable(l tableLimit) *peer {
	return slices.MaxFunc(m.peers.list, func(a, b *peer) int {
		return cmp.Or(cmp.Compare(l.of(a.tableSize), l.of(b.tableSize)), cmp.Compare(a.tie.born, b.tie.born))
	})
}

// clearTables gives up the tables of peers that are not there, which pull is for when they come back. It reports
// whether that makes room enough.
func (m *Membership) clearTables(size tableSize) bool {
	for _, p := range m.peers.list {
		if !p.isMember() {
			m.emptyTable(p)
			p.tver = 0
		}
	}
	return m.held.fits(size)
}

// noticeTable sees which version a peer's headers show. A newer one than we hold is on its way in a hello; if it has
// not come within pullEvery, it is pulled, [TAB-3]. Of a peer whose table was refused all versions count as held.
func (m *Membership) noticeTable(now time.Time, p *peer, tver uint32) {
	p.tableSeen = max(p.tableSeen, tver)
	if p.refused {
		p.tver = p.tableSeen
	}
	if (p.tableSeen > p.tver || p.refused) && p.pull == noPull {
		p.pull = pull(m.nextPull(now, p))
		m.schedule(p)
	}
}

// nextPull is when the table of a peer is pulled.
func (m *Membership) nextPull(now time.Time, p *peer) moment {
	if p.refused {
		return m.moment(now.Add(crowdedEvery))
	}
	return max(m.moment(now.Add(pullEvery)), p.tableAt-moment(tableAhead))
}

// A table that does not fit a hello is not sent whole for each change: peers that hold the one before get the
// difference, if that does fit, [TAB-6]. All others pull.

// deltaOf finds the difference between two tables of ours. It reports false if the table itself had better be sent.
func deltaOf(base uint32, old []byte, version uint32, table []byte) (wire.Delta, bool) {
	if len(table) <= helloMax || len(old) == 0 {
		return wire.Delta{}, false
	}
	before, err := wire.ConsumeTable(old)
	after, err2 := wire.ConsumeTable(table)
	if err != nil || err2 != nil {
		panic("broach: internal error: our own table cannot be read")
	}
	gone, added := difference(before, after)
	d := wire.Delta{Base: base, Version: version, Gone: wire.AppendTable(nil, gone),
		Added: wire.AppendTable(nil, added)}
	return d, len(d.Gone)+len(d.Added) <= helloMax-wire.DeltaOverhead
}

// difference lists what is only in before, by name alone, and what is in after and not the same in before.
func difference(before, after []wire.Function) (gone, added []wire.Function) {
	for _, f := range before {
		if _, ok := FindRow(after, f.Name); !ok {
			gone = append(gone, wire.Function{Name: f.Name})
		}
	}
	for _, f := range after {
		if i, ok := FindRow(before, f.Name); !ok || before[i] != f {
			added = append(added, f)
		}
	}
	return gone, added
}

// FindRow looks a name up in a table.
func FindRow(table []wire.Function, name string) (i int, ok bool) {
	return slices.BinarySearchFunc(table, name,
		func(f wire.Function, name string) int { return strings.Compare(f.Name, name) })
}

// onDelta takes a change of a peer's table, if it is the next after what we hold, and says so.
func (m *Membership) onDelta(now time.Time, p *peer, d wire.Delta) {
	if d.Base != p.tver || d.Version <= d.Base || p.refused || !m.mayTake(now, p, deltaGap) {
		return
	}
	gone, err := wire.ConsumeTable(d.Gone)
	added, err2 := wire.ConsumeTable(d.Added)
	if err != nil || err2 != nil {
		return
	}
	functions := amended(p.functions, gone, added)
	if len(functions) > wire.MaxFunctions {
		return
	}
	m.holdTable(p, d.Version, functions)
	m.tell(p, m.ack(p))
}

// amended is a table after a change.
func amended(table, gone, added []wire.Function) []wire.Function {
	rows := make([]wire.Function, 0, len(table)+len(added))
	for old, row := range RowPairs(table, added) {
		if row == nil && isListed(&gone, old.Name) {
			continue
		}
		rows = append(rows, *cmp.Or(row, old))
	}
	return rows
}

// isListed reports whether a name is in a table, of which it cuts off the rows before it.
func isListed(rest *[]wire.Function, name string) bool {
	for len(*rest) > 0 && (*rest)[0].Name < name {
		*rest = (*rest)[1:]
	}
	return len(*rest) > 0 && (*rest)[0].Name == name
}

// hand gives a peer the difference. If that is lost, the next hello shows the version, and the peer pulls.
func (m *Membership) hand(now time.Time, p *peer, d wire.Delta) {
	p.told = m.tver
	m.tell(p, d)
	m.awaitAnswer(now, p)
}
