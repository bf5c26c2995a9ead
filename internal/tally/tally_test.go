package tally

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"
	"unsafe"

	"broach/internal/race"

	"github.com/stretchr/testify/require"
)

const stripeSize = unsafe.Sizeof(stripe{})

// model is what a Cell should say.
type model struct {
	Snapshot
	isServed bool
}

// step does something at random to a Cell, and to the model.
func (m *model) step(rng *rand.Rand, c *Cell) {
	now, took := time.Duration(rng.Int64N(1<<40)), time.Duration(rng.Int64N(1<<35))
	code := uint32(0)
	if rng.IntN(3) == 0 {
		code = 1 + rng.Uint32N(20)
	}
	switch choice := rng.IntN(6); {
	case choice == 0 && m.isServed:
		c.Serve(now, took)
		m.Running++
		m.Waiting.Counts[classOf(took)]++
		m.Waiting.Sum += took
	case choice == 0:
		c.Begin(now)
		m.Running++
	case choice == 1 && m.Running > 0:
		c.End(now, took, code)
		m.Running--
		m.end(took, code)
	case choice == 2:
		c.Refuse(now, took, code)
		m.end(took, code)
	case choice == 3 && m.Running > 0 && !m.isServed:
		c.Withdraw(now)
		m.Running--
	case choice == 4:
		c.Retry()
		m.Retries++
	}
}

func (m *model) end(took time.Duration, code uint32) {
	m.Calls++
	m.Latency.Counts[classOf(took)]++
	m.Latency.Sum += took
	if code == 0 {
		return
	}
	if m.Errors == nil {
		m.Errors = make(map[uint32]uint64)
	}
	m.Errors[code]++
}

// Whatever is told to a Cell, it says what it was told.
func TestACellSaysWhatItWasTold(t *testing.T) {
	for _, n := range []int{1, 2, 16} {
		withStripes(t, n)
		for seed := range uint64(6) {
			t.Logf("stripes %d, seed %d", n, seed)
			rng := rand.New(rand.NewPCG(seed, seed))
			m := &model{isServed: seed%2 == 0}
			c := newCell(m.isServed)
			for i := range 10_000 {
				m.step(rng, c)
				if i%97 == 0 {
					require.Equal(t, m.Snapshot, c.Snapshot(), "step %d", i)
				}
			}
			require.Equal(t, m.Snapshot, c.Snapshot())
		}
	}
}

// A call that failed at its caller though it was answered is one call, with an error.
func TestACallMayFailAfterItsEnd(t *testing.T) {
	c := newCell(false)
	c.Begin(0)
	c.End(0, 0, 0)
	c.Fail(2)
	require.Equal(t, map[uint32]uint64{2: 1}, c.Snapshot().Errors)
	require.EqualValues(t, 1, c.Snapshot().Calls)
}

// "A nil Cell counts nothing"
func TestNoCellCountsNothing(t *testing.T) {
	var c *Cell
	c.Begin(0)
	c.Serve(0, 0)
	c.End(0, 0, 1)
	c.Refuse(0, 0, 1)
	c.Withdraw(0)
	c.Retry()
	c.Fail(1)
}

// "no Snapshot has more errors than calls", and none has less than one before.
func TestSnapshotsAreConsistentWhileCallsGoOn(t *testing.T) {
	withStripes(t, 4)
	const callers, calls = 8, 5000
	for _, isServed := range []bool{false, true} {
		c := newCell(isServed)
		var counting, looking sync.WaitGroup
		donec := make(chan struct{})
		looking.Go(func() { // until donec is closed
			for last := (Snapshot{}); ; {
				s := c.Snapshot()
				last.requireBefore(t, s)
				last = s
				select {
				case <-donec:
					return
				default:
				}
			}
		})
		for caller := range callers {
			counting.Go(func() {
				for i := range calls {
					c.count(isServed, time.Duration(i*callers+caller))
				}
			})
		}
		counting.Wait()
		close(donec)
		looking.Wait()
		s := c.Snapshot()
		require.EqualValues(t, callers*calls, s.Calls)
		require.EqualValues(t, callers*calls/2, s.Errors[1]+s.Errors[1000])
		require.Equal(t, callers*calls*time.Microsecond, s.Latency.Sum)
		require.Zero(t, s.Running)
	}
}

// count counts a call, every other of which fails.
func (c *Cell) count(isServed bool, now time.Duration) {
	if isServed {
		c.Serve(now, time.Millisecond)
	} else {
		c.Begin(now)
	}
	c.End(now, time.Microsecond, []uint32{0, 1, 0, 1000}[now/8%4])
}

// requireBefore holds that a Snapshot may follow.
func (s Snapshot) requireBefore(t *testing.T, next Snapshot) {
	require.Equal(t, next.Calls, next.Latency.total())
	var errors uint64
	for code, n := range next.Errors {
		errors += n
		require.GreaterOrEqual(t, n, s.Errors[code])
	}
	require.LessOrEqual(t, errors, next.Calls)
	for i, n := range next.Latency.Counts {
		require.GreaterOrEqual(t, n, s.Latency.Counts[i])
	}
	require.GreaterOrEqual(t, next.Latency.Sum, s.Latency.Sum)
}

func TestCountingDoesNotAllocate(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	withStripes(t, 4)
	for _, isServed := range []bool{false, true} {
		c := newCell(isServed)
		for range 2 * stripesFrom { // until it is called often
			c.count(isServed, 0)
		}
		for _, now := range []time.Duration{0, 8, 24} { // without an error, with two codes
			require.Zero(t, testing.AllocsPerRun(100, func() { c.count(isServed, now) }))
		}
	}
}

// "Strangers choose them, so only so many are kept apart."
func TestOnlySoManyCodesAreKeptApart(t *testing.T) {
	c := newCell(false)
	for code := range uint32(100_000) {
		c.Refuse(0, 0, 1000+code)
		c.Refuse(0, 0, 1000) // which has a place
	}
	s := c.Snapshot()
	require.Len(t, s.Errors, othersMost+1)
	require.EqualValues(t, 100_001, s.Errors[1000])
	require.EqualValues(t, 1, s.Errors[1000+othersMost-1])
	require.EqualValues(t, 100_000-othersMost, s.Errors[unnamed])
}
