package balance

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What was learnt is remembered of the shape and the signature that it was seen of, for a while.
func TestMisfitsAreRememberedForAWhile(t *testing.T) {
	var m Misfits
	began := time.Now()
	require.True(t, m.IsEmpty())
	require.Empty(t, m.Of(began, 1))
	m.Learn(began, 1, "(int)")
	m.Learn(began.Add(time.Second), 1, "(string)")
	m.Learn(began.Add(time.Second), 2, "(bool)")
	require.False(t, m.IsEmpty())
	require.Equal(t, []string{"(int)", "(string)"}, m.Of(began.Add(misfitKept-1), 1))
	require.Equal(t, []string{"(bool)"}, m.Of(began, 2))
	require.Empty(t, m.Of(began, 3))
	require.Equal(t, []string{"(string)"}, m.Of(began.Add(misfitKept), 1))

	m.Learn(began.Add(misfitKept), 1, "(string)")
	require.Equal(t, []string{"(string)"}, m.Of(began.Add(misfitKept+time.Second), 1), "seen again")
	require.Empty(t, m.Of(began.Add(2*misfitKept), 3))
	require.True(t, m.IsEmpty(), "and costs nothing any more")
}

// A program with ever new kinds of arguments, or providers with ever new signatures, makes it forget the oldest.
func TestMisfitsAreBounded(t *testing.T) {
	var m Misfits
	now := time.Now()
	for i := range 10_000 {
		m.Learn(now, uint64(i), fmt.Sprint("(", i, ")"))
	}
	require.Len(t, *m.list.Load(), misfitsMost)
	require.Empty(t, m.Of(now, 10_000-misfitsMost-1))
	require.Equal(t, []string{fmt.Sprint("(", 10_000-misfitsMost, ")")}, m.Of(now, 10_000-misfitsMost))
	require.Equal(t, []string{"(9999)"}, m.Of(now, 9_999))
}
