package broach

import (
	"time"

	"broach/internal/wire"
)

// A table is work: to decode it, to find what has changed, to keep it. What a peer may cause of that depends on what all of
// them offer together, so that all peers together cannot cause more than one, and tables of a small cluster never wait.
const (
	pullEvery    = 100 * time.Millisecond // between two pulls from a peer, and what a hello has to come by itself
	crowdedEvery = time.Minute            // between two pulls of a table that finds no room
	tableGap     = 5 * time.Microsecond   // between two tables of a peer, for each row that the peers offer
	deltaGap     = 1 * time.Microsecond   // likewise, of changes
	tableAhead   = 100 * time.Millisecond // of that a peer may run ahead: programs register functions in bursts
)

// tableSize is what tables take up.
type tableSize struct{ rows, bytes int }

// tableSizeOf measures a table. The bytes are those of its words.
func tableSizeOf(table []wire.Function) tableSize {
	s := tableSize{rows: len(table)}
	for i := range table {
		s.bytes += len(table[i].Name) + len(table[i].Signature) + len(table[i].Doc)
	}
	return s
}

// fits reports whether so much more is within the limits.
func (s tableSize) fits(more tableSize) bool {
	return s.rows+more.rows <= rowsMax && s.bytes+more.bytes <= rowBytesMax
}

// pulled takes the answer to effects.pull.
func (m *membership) pulled(now time.Time, id linkID, version uint32, table []byte, ok bool) {
	p := m.peers.byAddr[id.addr]
	if p == nil || p.boot != id.boot {
		return
	}
	p.pulling = false
	if ok {
		m.takeTable(now, p, version, table)
	}
	m.noticeTable(now, p, p.tableSeen)
}

// takeTable replaces the table of a peer by a newer one, [TAB-2], or by one that found no room. A table that cannot be decoded
// changes nothing, [TAB-1].
func (m *membership) takeTable(now time.Time, p *peer, version uint32, table []byte) {
	if version < p.tver || version == p.tver && !p.crowded || !m.mayTake(now, p, tableGap) {
		return
	}
	if functions, err := wire.ConsumeTable(table); err == nil {
		m.holdTable(p, version, functions)
	}
}

// mayTake reports whether it is time for another table of a peer, or another change. What comes too early is pulled later,
// [TAB-8].
func (m *membership) mayTake(now time.Time, p *peer, gap time.Duration) bool {
	at := m.moment(now)
	if p.tableAt > at+moment(tableAhead) {
		return false
	}
	p.tableAt = max(p.tableAt, at) + moment(m.held.rows)*moment(gap)
	return true
}

// holdTable makes functions what a peer offers, if there is room for them; else it offers nothing, [TAB-9].
func (m *membership) holdTable(p *peer, version uint32, functions []wire.Function) {
	m.emptyTable(p)
	p.tver, p.tableSeen, p.pullAt = version, max(version, p.tableSeen), 0
	wasCrowded, size := p.crowded, tableSizeOf(functions)
	p.crowded = !m.held.fits(size) && !m.clearTables(size)
	switch {
	case !p.crowded:
		p.functions = functions
		m.held.rows += size.rows
		m.held.bytes += size.bytes
	case !wasCrowded:
		m.out.crowded = append(m.out.crowded, p.linkID)
	}
	m.out.changed = true
}

// emptyTable gives up what a peer offers.
func (m *membership) emptyTable(p *peer) {
	size := tableSizeOf(p.functions)
	m.held.rows -= size.rows
	m.held.bytes -= size.bytes
	p.functions = nil
}

// clearTables gives up the tables of peers that are not there, which pull is for when they come back. It reports whether that
// makes room enough.
func (m *membership) clearTables(size tableSize) bool {
	for _, p := range m.peers.list {
		if !p.isMember() {
			m.emptyTable(p)
			p.tver = 0
		}
	}
	return m.held.fits(size)
}

// noticeTable sees which version a peer's headers show. A newer one than we hold is on its way in a hello; if it has not come
// within pullEvery, it is pulled, [TAB-3]. Of a peer whose table finds no room all versions count as held.
func (m *membership) noticeTable(now time.Time, p *peer, tver uint32) {
	p.tableSeen = max(p.tableSeen, tver)
	if p.crowded {
		p.tver = p.tableSeen
	}
	if (p.tableSeen > p.tver || p.crowded) && p.pullAt == 0 && !p.pulling {
		p.pullAt = m.nextPull(now, p)
		m.schedule(p)
	}
}

// nextPull is when the table of a peer is pulled.
func (m *membership) nextPull(now time.Time, p *peer) moment {
	if p.crowded {
		return m.moment(now.Add(crowdedEvery))
	}
	return max(m.moment(now.Add(pullEvery)), p.tableAt-moment(tableAhead))
}
