package member

import (
	"iter"
	"net/netip"
	"slices"
	"strings"

	"broach/internal/wire"
)

// What has changed between two views of the peers, and between two tables of a peer.

// RowChange is what became of a function that a peer offers.
type RowChange uint8

const (
	RowAdded RowChange = iota
	RowRemoved
	RowPaused // it does not serve
	RowResumed
)

// RowChanges walks the tables of two views of a peer and yields what was added and removed, and what stopped serving or
// serves again. The protocol's own functions are not among them.
func RowChanges(was, is *View) iter.Seq2[RowChange, string] {
	return func(yield func(RowChange, string) bool) {
		if IsSameTable(was.Functions, is.Functions) {
			return
		}
		for old, row := range RowPairs(was.Functions, is.Functions) {
			name := NameOf(old, row)
			for _, change := range changesOf(old, row) {
				if !wire.IsOwn(name) && !yield(change, name) {
					return
				}
			}
		}
	}
}

// changesOf is what became of a row; the one that is not there is nil.
func changesOf(old, row *wire.Function) []RowChange {
	switch {
	case row == nil:
		return []RowChange{RowRemoved}
	case old == nil && row.Paused:
		return []RowChange{RowAdded, RowPaused}
	case old == nil:
		return []RowChange{RowAdded}
	case !old.Paused && row.Paused:
		return []RowChange{RowPaused}
	case old.Paused && !row.Paused:
		return []RowChange{RowResumed}
	}
	return nil
}

// NameOf is the name of a row that was or is there.
func NameOf(was, is *wire.Function) string {
	if is == nil {
		return was.Name
	}
	return is.Name
}

// IsSameTable reports whether two tables are one and the same: a table is not modified.
func IsSameTable(a, b []wire.Function) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// RowPairs walks two tables and yields the rows of each name. A row that only one of them has comes with nil.
func RowPairs(a, b []wire.Function) iter.Seq2[*wire.Function, *wire.Function] {
	return func(yield func(a, b *wire.Function) bool) {
		for len(a) > 0 || len(b) > 0 {
			var p, q *wire.Function
			first := compareFirst(a, b)
			if first <= 0 {
				p, a = &a[0], a[1:]
			}
			if first >= 0 {
				q, b = &b[0], b[1:]
			}
			if !yield(p, q) {
				return
			}
		}
	}
}

// compareFirst says in which of two tables, of which one may be empty, the lower name is the first: -1, 1, or 0 for
// both.
func compareFirst(a, b []wire.Function) int {
	switch {
	case len(b) == 0:
		return -1
	case len(a) == 0:
		return 1
	}
	return strings.Compare(a[0].Name, b[0].Name)
}

// Counterparts walks two lists of peers, sorted by address, and yields each of the first with the view of the same
// process in the second; nil if there is none.
func Counterparts(a, b []*View) iter.Seq2[*View, *View] {
	return func(yield func(a, b *View) bool) {
		for _, p := range a {
			other := whoAt(&b, p.Addr)
			if other != nil && other.Process != p.Process {
				other = nil
			}
			if !yield(p, other) {
				return
			}
		}
	}
}

// WhoAt is who has an address in a list that is sorted by address; nil if nobody.
func WhoAt(list []*View, addr netip.AddrPort) *View {
	i, ok := slices.BinarySearchFunc(list, addr,
		func(v *View, addr netip.AddrPort) int { return v.Addr.Compare(addr) })
	if !ok {
		return nil
	}
	return list[i]
}

// whoAt is who has an address in a list, of which it cuts off those before it; nil if nobody.
func whoAt(rest *[]*View, addr netip.AddrPort) *View {
	for len(*rest) > 0 && (*rest)[0].Addr.Compare(addr) < 0 {
		*rest = (*rest)[1:]
	}
	if len(*rest) > 0 && (*rest)[0].Addr == addr {
		return (*rest)[0]
	}
	return nil
}
