package member

import (
	"fmt"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// rowsOf makes functions of such numbers, in the order of their names.
func rowsOf(numbers ...int) (rows []wire.Function) {
	for _, i := range numbers {
		rows = append(rows, wire.Function{Name: fmt.Sprintf("function%05d", i), Signature: "(int, int) int"})
	}
	return rows
}

func upTo(n int) (numbers []int) {
	for i := range n {
		numbers = append(numbers, i)
	}
	return numbers
}

func TestDifference(t *testing.T) {
	changed := rowsOf(2)
	changed[0].Signature = "()"
	for _, c := range []struct{ before, after, gone, added []wire.Function }{
		{nil, nil, nil, nil},
		{rowsOf(1, 2), rowsOf(1, 2), nil, nil},
		{rowsOf(1, 2), rowsOf(1, 2, 3), nil, rowsOf(3)},
		{rowsOf(1, 2), rowsOf(0, 2), []wire.Function{{Name: rowsOf(1)[0].Name}}, rowsOf(0)},
		{rowsOf(1, 2), append(rowsOf(1), changed...), nil, changed},
	} {
		gone, added := difference(c.before, c.after)
		require.Equal(t, c.gone, gone)
		require.Equal(t, c.added, added)
	}
}

// [TAB-6] Of a table that is too large for a hello, peers that have acknowledged the version before are sent Delta, if
// that fits a datagram. Who holds just its base applies it and answers with Ack; anybody else ignores it, and pulls.
func TestChangesOfALargeTable(t *testing.T) {
	for _, loss := range []float64{0, 0.25} {
		s := newSociety(t)
		all := s.grow(6)
		owner := all[0]
		s.loss = loss
		sent := s.watch(owner)
		for version, numbers := range [][]int{
			upTo(400), upTo(401), append(upTo(399), 500), upTo(90), upTo(1), upTo(401), upTo(300),
		} {
			*sent = nil
			owner.SetTable(s.now, uint32(version+2), wire.AppendTable(nil, rowsOf(numbers...)))
			s.collect(owner)
			s.run(5 * time.Second)
			for _, c := range all[1:] {
				require.Equal(t, rowsOf(numbers...), c.of(owner).functions, "version %d at a loss of %v", version+2,
					loss)
			}
			if kinds := kindsOf(*sent); loss == 0 {
				fits := version == 1 || version == 2 || version == 6 // not the whole table, nor more than a datagram
				require.Equal(t, fits, kinds[wire.KindDelta] == 5, "version %d: %v", version+2, kinds)
				require.Equal(t, fits, kinds[wire.KindAnnounce] == 0, "version %d: %v", version+2, kinds)
			}
		}
	}
}

// A change that does not follow what is held, or cannot be read, changes nothing.
func TestDeltaIsChecked(t *testing.T) {
	s := newSociety(t)
	all := s.grow(2)
	a, liar := all[0], all[1]
	liar.SetTable(s.now, 2, wire.AppendTable(nil, rowsOf(1, 2)))
	s.collect(liar)
	s.run(time.Second)
	held, link := a.of(liar).functions, a.linkTo(liar)
	require.Len(t, held, 2)
	none, more := wire.AppendTable(nil, nil), wire.AppendTable(nil, rowsOf(3))
	for _, d := range []wire.Delta{
		{Base: 1, Version: 3, Gone: none, Added: more},
		{Base: 3, Version: 4, Gone: none, Added: more},
		{Base: 2, Version: 2, Gone: none, Added: more},
		{Base: 2, Version: 3, Gone: more[:5], Added: none},
		{Base: 2, Version: 3, Gone: none, Added: append([]byte{9}, more...)},
	} {
		s.forge(a, link, d)
		require.Equal(t, held, a.of(liar).functions, "%+v", d)
	}
	s.forge(a, link, wire.Delta{Base: 2, Version: 3, Gone: none, Added: more})
	require.Equal(t, rowsOf(1, 2, 3), a.of(liar).functions)
	require.EqualValues(t, 3, a.of(liar).tver)
}
