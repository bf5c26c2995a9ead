package turn

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// plan1 is the plan of node 1 of a timer that is due one second from now.
func plan1(now time.Time, shared bool) Plan {
	return Plan{Self: 1, Every: time.Second, Jitter: 50 * time.Millisecond, Shared: shared, Due: now.Add(time.Second)}
}

// A timer stays on its grid, whatever the jitter of the runs.
func TestPlanKeepsTheGrid(t *testing.T) {
	start := time.Now()
	p := plan1(start, false)
	for k := 1; k <= 1000; k++ {
		require.Equal(t, start.Add(time.Duration(k)*time.Second+p.Late), p.At([]uint64{1}))
		p.Take(p.At([]uint64{1}).Add(3*time.Millisecond), time.Duration(k%50)*time.Millisecond, []uint64{1})
	}
}

// Runs that were missed are left out, and none follows on the heels of one that was late.
func TestPlanLeavesOutWhatWasMissed(t *testing.T) {
	start := time.Now()
	for _, c := range []struct{ behind, next time.Duration }{{400, 2000}, {600, 3000}, {2400, 4000}, {2600, 5000}} {
		p := plan1(start, false)
		p.Take(start.Add(time.Second+c.behind*time.Millisecond), 0, []uint64{1})
		require.Equal(t, c.next*time.Millisecond, p.Due.Sub(start), "behind by %v ms", int(c.behind))
	}
	p := plan1(start, true)
	p.Take(start.Add(1600*time.Millisecond), 0, []uint64{1})
	require.Equal(t, 2600*time.Millisecond, p.Due.Sub(start), "among several nodes a period passes")
}

// [TMR-1] A run that is due is that of the first of its heirs that is still in the order.
func TestTheTurnIsTheFirstHeirs(t *testing.T) {
	now := time.Now()
	due := now.Add(time.Second)
	for _, c := range []struct {
		line, order []uint64
		want        time.Time
		why         string
	}{
		{[]uint64{1, 2, 3}, []uint64{2, 1, 3}, due, "it ran last"},
		{[]uint64{2, 1, 3}, []uint64{2, 1, 3}, time.Time{}, "another ran last"},
		{[]uint64{2, 1, 3}, []uint64{1, 3}, due, "that one is gone"},
		{[]uint64{2, 1, 3}, []uint64{4, 1, 3}, due, "and a newcomer is the owner"},
		{[]uint64{2, 3, 1}, []uint64{4, 1, 3}, time.Time{}, "3 is before it"},
		{nil, []uint64{1}, due, "it is alone"},
		{nil, []uint64{2, 1}, time.Time{}, "another is the owner"},
	} {
		p := plan1(now, true)
		p.Line = c.line
		require.Equal(t, c.want, p.At(c.order), c.why)
	}
}

// [TMR-4] The owner whose turn it is not takes it 500 ms and the largest jitter after it was due.
func TestTheOwnerTakesATurnThatNobodyUses(t *testing.T) {
	now := time.Now()
	p := plan1(now, true)
	require.Equal(t, now.Add(1550*time.Millisecond), p.At([]uint64{1, 2}), "it knows of no run")
	p.Line = []uint64{2, 1}
	require.Equal(t, now.Add(1550*time.Millisecond), p.At([]uint64{1, 2}), "2 should have run")
}

// [TMR-3] Who hears of a run puts the next a period after it. It is of who ran, or if that is over, of the owner.
func TestHearingOfARun(t *testing.T) {
	now := time.Now()
	order := []uint64{2, 1, 3, 4, 5}
	for _, c := range []struct {
		from uint64
		news News
		line []uint64
		due  time.Duration
	}{
		{2, News{Since: 100 * time.Millisecond}, []uint64{2, 1, 3, 4}, 900},
		{3, News{Since: 100 * time.Millisecond}, []uint64{3, 2, 1, 4}, 900},
		{3, News{Since: 100 * time.Millisecond, Over: true}, []uint64{2, 1, 3, 4}, 900},
		{2, News{Since: -time.Hour}, []uint64{2, 1, 3, 4}, 1000},
		{2, News{Since: time.Hour}, []uint64{2, 1, 3, 4}, 0},
	} {
		p := plan1(now.Add(-time.Minute), true)
		require.True(t, p.Hear(now, c.from, c.news, order))
		require.Equal(t, c.line, p.Line)
		require.Equal(t, c.due*time.Millisecond, p.Due.Sub(now))
	}
	p := plan1(now, true)
	require.False(t, p.Hear(now, 9, News{}, order), "who does not have the timer")
	p.Take(now, 0, []uint64{1, 2})
	require.False(t, p.Hear(now, 2, News{}, []uint64{1, 2}), "the owner that ran itself")
	require.True(t, p.Hear(now, 2, News{}, []uint64{2, 1}), "who is not the owner any more")
}

// Who ran and is not the owner hands over, once.
func TestHandingOver(t *testing.T) {
	p := plan1(time.Now(), true)
	p.Take(p.Due, 0, []uint64{1, 2})
	require.False(t, p.HandOver([]uint64{1, 2}))
	require.True(t, p.HandOver([]uint64{3, 1, 2}))
	require.Equal(t, []uint64{3, 1, 2}, p.Line)
	require.False(t, p.HandOver([]uint64{3, 1, 2}))
}
