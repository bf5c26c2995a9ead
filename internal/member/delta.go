package member

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"broach/internal/wire"
)

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
	d := wire.Delta{Base: base, Version: version, Gone: wire.AppendTable(nil, gone), Added: wire.AppendTable(nil, added)}
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
	return slices.BinarySearchFunc(table, name, func(f wire.Function, name string) int { return strings.Compare(f.Name, name) })
}

// onDelta takes a change of a peer's table, if it is the next after what we hold, and says so.
func (m *Membership) onDelta(now time.Time, p *peer, d wire.Delta) {
	if d.Base != p.tver || d.Version <= d.Base || p.crowded || !m.mayTake(now, p, deltaGap) {
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
