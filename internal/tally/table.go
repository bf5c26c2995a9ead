package tally

import (
	"iter"
	"maps"
	"slices"
	"sync"
)

// NamesMost is how many names a Table keeps apart.
const NamesMost = 10_000

// A Table has the Cells of all names at one end. A name that has a Cell keeps it, so that what is counted never goes
// back. What has none is counted together: names that nobody has offered, and those for which there is no room. It may
// be used by many goroutines at once; its zero value is of no use.
type Table struct {
	isServed bool
	rest     *Cell

	mu    sync.RWMutex // protects cells: names come while calls look theirs up
	cells map[string]*Cell
}

// NewTable returns a Table without names. isServed says that calls are served at its end, not made.
func NewTable(isServed bool) *Table {
	return &Table{isServed: isServed, rest: newCell(isServed), cells: make(map[string]*Cell)}
}

// Rest is the Cell of all that have none of their own.
func (t *Table) Rest() *Cell { return t.rest }

// Find returns the Cell of a name, or nil if it has none.
func (t *Table) Find(name string) *Cell {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.cells[name]
}

// Cell returns the Cell of a name, which gets one if there is room: else it is Rest, and stays so. The name "" is
// Rest's.
func (t *Table) Cell(name string) *Cell {
	if name == "" {
		return t.rest
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.cells[name]
	switch {
	case c != nil:
		return c
	case len(t.cells) == NamesMost:
		return t.rest
	}
	c = newCell(t.isServed)
	t.cells[name] = c
	return c
}

// Len is how many names All may yield.
func (t *Table) Len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.cells) + 1
}

// All yields a Snapshot of each name in their order, first that of Rest, as "", if it has counted anything.
func (t *Table) All() iter.Seq2[string, Snapshot] {
	return func(yield func(string, Snapshot) bool) {
		if s := t.rest.Snapshot(); (s.Calls > 0 || s.Running > 0) && !yield("", s) {
			return
		}
		cells := t.copied()
		for _, name := range slices.Sorted(maps.Keys(cells)) {
			if !yield(name, cells[name].Snapshot()) {
				return
			}
		}
	}
}

// copied are the names and Cells that there are now: a Snapshot of each takes a while, and nobody waits for that.
func (t *Table) copied() map[string]*Cell {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return maps.Clone(t.cells)
}
