package pool

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPoolCloseRejectsQueuedAndWaitsForRunning(t *testing.T) {
	inBubble(t, small(), func(t *testing.T, p *Pool) {
		slow := &probeJob{do: func() { time.Sleep(2 * time.Second) }}
		queued := []*probeJob{{}, {}}
		offerAll(t, p, slow)
		offerAll(t, p, queued...)

		began := time.Now()
		require.Zero(t, p.Close(time.Minute))
		require.Equal(t, 2*time.Second, time.Since(began))
		for _, j := range queued {
			require.Equal(t, fate{rejects: 1}, j.fate())
		}
		require.Equal(t, Stats{peakRunning: 1, peakQueued: 2, Done: 1, rejected: 2}, p.Stats())
	})
}

// Core workers, drain tasks and the dispatcher are all left behind when stuck.
func TestPoolCloseLeavesStuckJobsAfterGrace(t *testing.T) {
	cfg := inSubmitterRuns(small())
	cfg.Max = 2
	inBubble(t, cfg, func(t *testing.T, p *Pool) {
		stuck := make(gate)
		offerAll(t, p, stuck.job(), stuck.job())
		offerAll(t, p, &probeJob{}, &probeJob{})
		offerAll(t, p, stuck.job())

		began := time.Now()
		require.Equal(t, 3, p.Close(time.Second))
		require.Equal(t, time.Second, time.Since(began))

		stuck.open()
		require.Zero(t, p.Close(time.Hour), "they did end later")
		require.Equal(t, time.Second, time.Since(began))
	})
}

func TestPoolTakesNothingOnceClosed(t *testing.T) {
	for _, cfg := range []Limits{small(), inSubmitterRuns(small())} {
		inBubble(t, cfg, func(t *testing.T, p *Pool) {
			offerAll(t, p, &probeJob{}) // so that a worker is parked
			require.Zero(t, p.Close(time.Minute))
			require.Equal(t, [2]int{0, 0}, workers(p))
			j := &probeJob{}
			require.Equal(t, Busy, p.Offer(j))
			p.Kick()
			require.ErrorIs(t, p.Submit(t.Context(), j), ErrClosed)
			synctest.Wait()
			require.Equal(t, fate{}, j.fate())
			requireSettled(t, p)
		})
	}
}

// A handler may close the node it runs on: it is then its own stuck job.
func TestPoolCloseFromAJob(t *testing.T) {
	inBubble(t, small(), func(t *testing.T, p *Pool) {
		var stuck int
		offerAll(t, p, &probeJob{do: func() { stuck = p.Close(time.Second) }})
		require.Zero(t, p.Close(time.Minute))
		require.Equal(t, 1, stuck)
	})
}

// crowd is a story of many goroutines offering jobs of every temper.
type crowd struct {
	p    *Pool
	over int // handlers that may run at once

	running atomic.Int32
	tooMany atomic.Bool
	taken   [8][]*probeJob // by producer
	refused [8][]*probeJob
}

func (c *crowd) job(rnd *rand.Rand) *probeJob {
	temper := rnd.IntN(20)
	j := &probeJob{do: func() {
		if int(c.running.Add(1)) > c.over {
			c.tooMany.Store(true)
		}
		defer c.running.Add(-1)
		switch temper {
		case 0:
			panic("temper")
		case 1:
			runtime.Goexit()
		case 2:
			runtime.Gosched()
		}
	}}
	if temper == 3 {
		j.until = time.Unix(0, 1) // long ago
	}
	return j
}

func (c *crowd) produce(t *testing.T, who int, rnd *rand.Rand) {
	for range 500 {
		j := c.job(rnd)
		if who%2 == 0 {
			c.note(who, j, c.p.Submit(t.Context(), j) == nil)
			continue
		}
		c.note(who, j, c.p.Offer(j) == Accepted)
		if rnd.IntN(4) == 0 {
			c.p.Kick()
		}
	}
	c.p.Kick()
}

func (c *crowd) note(who int, j *probeJob, taken bool) {
	if taken {
		c.taken[who] = append(c.taken[who], j)
	} else {
		c.refused[who] = append(c.refused[who], j)
	}
}

// Each job taken gets exactly one of Run, Shed and Reject, each refused one
// none, and the counters agree, whatever goes on at the same time.
func TestPoolEveryJobHasOneFate(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	cfg := Limits{Max: 4, Queue: 8, GrowAt: 2, KeepAlive: time.Minute}
	for _, core := range []int{0, 1, 4} {
		for _, reject := range []bool{true, false} {
			cfg.Core, cfg.RejectWhenFull = core, reject
			c := &crowd{p: New(cfg), over: cfg.Max}
			if !reject {
				c.over++ // the dispatcher
			}
			c.live(t, seed)
			c.check(t)
		}
	}
}

func (c *crowd) live(t *testing.T, seed uint64) {
	var producers, closers sync.WaitGroup
	for who := range c.taken {
		rnd := rand.New(rand.NewPCG(seed, uint64(who)))
		producers.Go(func() { c.produce(t, who, rnd) })
	}
	if seed%2 == 0 { // half of the runs let all come in before the close
		producers.Wait()
	}
	for range 3 {
		closers.Go(func() {
			if stuck := c.p.Close(time.Minute); stuck != 0 {
				t.Errorf("%d jobs stuck", stuck)
			}
		})
	}
	producers.Wait()
	closers.Wait()
}

func (c *crowd) check(t *testing.T) {
	require.False(t, c.tooMany.Load(), "more than %d at once", c.over)
	var got Stats
	for who := range c.taken {
		for _, j := range c.refused[who] {
			require.Equal(t, fate{}, j.fate())
			got.Refused++
		}
		for _, j := range c.taken[who] {
			f := j.fate()
			require.EqualValues(t, 1, f.runs+f.sheds+f.rejects, "%+v", f)
			got.Done += int64(f.runs)
			got.Panics += int64(f.fails)
			got.Shed += int64(f.sheds)
			got.rejected += int64(f.rejects)
		}
	}
	want := c.p.Stats()
	got.peakRunning, got.peakQueued = want.peakRunning, want.peakQueued
	require.Equal(t, want, got)
	require.LessOrEqual(t, want.peakQueued, c.p.cfg.Queue)
	require.LessOrEqual(t, want.peakRunning, c.over)
}
