package main

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// scripted is a client that answers as it is told.
type scripted struct {
	sum  func(x, y int) (int, error)
	back func(p []byte) ([]byte, error)
	put_ func(p []byte) (uint32, error)
}

func (s scripted) add(x, y int) (int, error)     { return s.sum(x, y) }
func (s scripted) echo(p []byte) ([]byte, error) { return s.back(p) }
func (s scripted) put(p []byte) (uint32, error)  { return s.put_(p) }
func (scripted) close()                          {}

func TestCallersUseEachIdOnce(t *testing.T) {
	seen := map[int]int{}
	c := scripted{sum: func(x, y int) (int, error) { seen[x]++; return x + y, nil }}
	for i := range 3 {
		one := newCaller(c, i, workload{callers: 3})
		for range 4 {
			require.NoError(t, one.call())
		}
	}
	require.Len(t, seen, 12)
	for id, n := range seen {
		require.Less(t, id, 12)
		require.Equal(t, 1, n)
	}
}

func TestAWrongAnswerIsNoticed(t *testing.T) {
	off := scripted{
		sum:  func(x, y int) (int, error) { return x + y + 1, nil },
		back: func(p []byte) ([]byte, error) { return append([]byte{p[0] + 1}, p[1:]...), nil },
	}
	require.ErrorIs(t, newCaller(off, 0, workload{callers: 1}).call(), errWrong)
	require.ErrorIs(t, newCaller(off, 0, workload{callers: 1, size: 64}).call(), errWrong)
}

// lending is a client that lends, and counts how often.
type lending struct {
	scripted
	lent *int
}

func (s lending) lend(p []byte, read func(back []byte)) error {
	*s.lent++
	back, err := s.back(p)
	read(back)
	return err
}

func TestClientsLendWhereTheWorkloadSaysSo(t *testing.T) {
	lent := 0
	c := lending{scripted{back: func(p []byte) ([]byte, error) { return p, nil }}, &lent}
	require.NoError(t, newCaller(c, 0, workload{callers: 1, size: 64, lent: true}).call())
	require.NoError(t, newCaller(c, 0, workload{callers: 1, size: 64}).call())
	require.Equal(t, 1, lent)
	c.back = func(p []byte) ([]byte, error) { return p[1:], nil }
	require.ErrorIs(t, newCaller(c, 0, workload{callers: 1, size: 64, lent: true}).call(), errWrong)
}

func TestMixedSizesAreAllOfThem(t *testing.T) {
	seen := map[int]bool{}
	back := func(p []byte) ([]byte, error) {
		seen[len(p)] = true
		return p, nil
	}
	mixed := workload{callers: 64, least: 512, size: 1024}
	c := newCaller(scripted{back: back}, 5, mixed)
	for range 513 {
		require.NoError(t, c.call())
	}
	require.Len(t, seen, 513)
	require.True(t, seen[512] && seen[1024])
	require.Equal(t, 768, mixed.meanSize())
}

func TestAnErrorIsNoWrongAnswer(t *testing.T) {
	down := errors.New("down")
	c := newCaller(scripted{sum: func(int, int) (int, error) { return 0, down }}, 0, workload{callers: 1})
	err := c.call()
	require.ErrorIs(t, err, down)
	require.NotErrorIs(t, err, errWrong)
}

func TestNoteCountsOnlyWhatWasAnsweredInTime(t *testing.T) {
	c := newCaller(nil, 0, workload{callers: 1})
	c.note(time.Millisecond, true, nil)
	c.note(time.Millisecond, false, nil)
	c.note(time.Millisecond, true, errors.New("down"))
	require.Equal(t, 1, c.inTime)
	require.Equal(t, 2, c.answered)
	require.Equal(t, 1, c.failed)
	require.EqualValues(t, 2, c.times.TotalCount(), "a late answer has a time too")
}

func TestPercentilesOfAllCallersTogether(t *testing.T) {
	crew := &crew{callers: []*caller{newCaller(nil, 0, workload{callers: 2}), newCaller(nil, 1, workload{callers: 2})}}
	for ms := 1; ms <= 1000; ms++ {
		crew.callers[ms%2].note(time.Duration(ms)*time.Millisecond, true, nil)
	}
	r := crew.result(2)
	require.InEpsilon(t, 0.500, r[p50], 0.01)
	require.InEpsilon(t, 0.990, r[p99], 0.01)
	require.InEpsilon(t, 0.999, r[p999], 0.01)
	require.Equal(t, 500.0, r[rate], "1000 calls in 2 s")
}

func TestTimesBeyondTheHistogramAreNotLost(t *testing.T) {
	c := newCaller(nil, 0, workload{callers: 1})
	c.note(time.Hour, true, nil)
	require.EqualValues(t, 1, c.times.TotalCount())
}

func TestABulkThatArrivesChangedIsWrong(t *testing.T) {
	b := startBulk(scripted{put_: func(p []byte) (uint32, error) { return checksum(p) + 1, nil }}, 1<<10)
	<-b.donec
	require.ErrorIs(t, b.err, errWrong)
	require.Zero(t, b.moved)
}

func TestCheck(t *testing.T) {
	crew := &crew{callers: []*caller{{tried: 10, answered: 8}}}
	require.NoError(t, crew.check(usage{}), "nothing was counted")
	require.NoError(t, crew.check(usage{Counted: true, Runs: 9}), "one ran, and its answer was given up")
	require.NoError(t, crew.check(usage{Counted: true, Runs: 10, Repeated: 1}), "shown in the table")
	require.ErrorIs(t, crew.check(usage{Counted: true, Runs: 7}), errWrong, "answered and never ran")
	require.ErrorIs(t, crew.check(usage{Counted: true, Runs: 11}), errWrong, "ran and never called")
	crew.callers[0].answered = 0
	require.ErrorContains(t, crew.check(usage{}), "no call was answered")
}

// streaming is a client that streams items, of which each begins with its number, times a factor.
type streaming struct {
	scripted
	factor uint64
}

func (s streaming) stream(size int, each func(item []byte) bool) error {
	item := make([]byte, size)
	for n := uint64(0); n < 1<<20; n++ {
		binary.LittleEndian.PutUint64(item, n*s.factor)
		if !each(item) {
			return nil
		}
	}
	return errors.New("down")
}

func TestEachItemOfAStreamIsChecked(t *testing.T) {
	w := workload{callers: 1, size: 16, stream: true}
	c := newCaller(streaming{factor: 1}, 0, w)
	require.NoError(t, c.work(time.Now().Add(time.Hour)))
	require.Equal(t, 1<<20, c.answered)
	require.EqualValues(t, 1<<20, c.times.TotalCount(), "each has a time")
	require.Equal(t, 1, c.failed, "it ended too early")
	require.NoError(t, c.work(time.Now()))
	require.Zero(t, c.inTime)
	require.ErrorIs(t, newCaller(streaming{factor: 2}, 0, w).work(time.Now().Add(time.Hour)), errWrong)
}
