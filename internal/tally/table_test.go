package tally

import (
	"fmt"
	"runtime"
	"slices"
	"testing"

	"broach/internal/race"

	"github.com/stretchr/testify/require"
)

func TestATableKeepsNamesApart(t *testing.T) {
	table := NewTable(false)
	require.Nil(t, table.Find("b"))
	table.Cell("b").Refuse(0, 0, 0)
	table.Cell("a").Refuse(0, 0, 1)
	table.Cell("a").Refuse(0, 0, 0)
	require.Same(t, table.Find("a"), table.Cell("a"))
	require.Same(t, table.Rest(), table.Cell(""), "the name of all others is no name")
	require.Equal(t, []string{"a 2", "b 1"}, listed(table))
	table.Cell("offered")
	table.Rest().Begin(0)
	require.Equal(t, []string{" 0", "a 2", "b 1", "offered 0"}, listed(table))
	for name := range table.All() {
		require.Equal(t, "", name)
		break
	}
}

// listed is what a table yields: each name, and how many calls.
func listed(table *Table) (list []string) {
	for name, s := range table.All() {
		list = append(list, fmt.Sprint(name, " ", s.Calls))
	}
	return list
}

// Strangers choose names: 20,000 have the memory of 10,000, and no call is lost.
func TestATableHasRoomForSoManyNames(t *testing.T) {
	table, before := NewTable(true), heap()
	names := func(from, to int) {
		for i := from; i < to; i++ {
			table.Cell(fmt.Sprint("name", i)).Refuse(0, 0, 3)
		}
	}
	names(0, NamesMost)
	full := heap()
	if !race.Enabled {
		require.Less(t, full-before, int64(NamesMost*1024), "bytes for each")
	}
	require.Empty(t, slices.DeleteFunc(listed(table), func(s string) bool { return s[0] != ' ' }))
	names(NamesMost, 2*NamesMost)
	require.Len(t, listed(table), NamesMost+1)
	require.EqualValues(t, NamesMost, table.Rest().Snapshot().Calls)
	require.Nil(t, table.Find(fmt.Sprint("name", NamesMost)))
	require.InDelta(t, full, heap(), 64<<10, "what has no room costs nothing")
	table.Cell("name0").Refuse(0, 0, 3)
	require.EqualValues(t, 2, table.Find("name0").Snapshot().Calls, "who is there stays there")
}

// heap is how many bytes are in use.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
