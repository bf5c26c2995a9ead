package pool

import (
	"context"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// probeJob is a job which records what the pool did with it.
type probeJob struct {
	do    func()    // user code; nil does nothing
	until time.Time // deadline; zero is none

	runs, sheds, fails, rejects atomic.Int32
	cause                       any    // what failed was told
	stack                       []byte // of failed, or of run where a test asks for it
}

func (j *probeJob) Run(time.Time) (ended time.Time) {
	j.runs.Add(1)
	if j.do != nil {
		j.do()
	}
	return ended
}

func (j *probeJob) Expired(now time.Time) bool { return !j.until.IsZero() && !now.Before(j.until) }
func (j *probeJob) Shed()                      { j.sheds.Add(1) }
func (j *probeJob) Reject()                    { j.rejects.Add(1) }

func (j *probeJob) Failed(v any, stack []byte) {
	j.cause, j.stack = v, stack
	j.fails.Add(1)
}

// fate is all that has happened to a job, in one comparable value.
type fate struct{ runs, sheds, fails, rejects int32 }

func (j *probeJob) fate() fate {
	return fate{j.runs.Load(), j.sheds.Load(), j.fails.Load(), j.rejects.Load()}
}

// gate makes jobs that run until it is opened.
type gate chan struct{}

func (g gate) job() *probeJob { return &probeJob{do: func() { <-g }} }
func (g gate) open()          { close(g) }

// small is a pool of one worker and a queue of two that refuses the rest.
func small() Limits {
	return Limits{Core: 1, Max: 1, Queue: 2, GrowAt: 1, KeepAlive: time.Minute, RejectWhenFull: true}
}

// inSubmitterRuns is the other overflow mode.
func inSubmitterRuns(cfg Limits) Limits {
	cfg.RejectWhenFull = false
	return cfg
}

// inBubble runs a story with a pool, which must have ended its goroutines when closed.
func inBubble(t *testing.T, cfg Limits, story func(t *testing.T, p *Pool)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := New(cfg)
		defer p.Close(0)
		story(t, p)
	})
}

// offerAll offers jobs as one batch, and waits until nothing moves any more.
func offerAll(t *testing.T, p *Pool, jobs ...*probeJob) {
	t.Helper()
	for i, j := range jobs {
		require.Equal(t, Accepted, p.Offer(j), "job %d", i)
	}
	p.Kick()
	synctest.Wait()
	requireSettled(t, p)
}

// requireSettled checks what must hold whenever nothing moves: nobody is on
// the way to the queue, and nobody waits for work that is there.
func requireSettled(t *testing.T, p *Pool) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	require.Zero(t, p.searching)
	require.False(t, p.growing)
	if p.queue.Len() > 0 {
		require.Zero(t, p.parked)
		require.Equal(t, p.cfg.Core, p.cores)
	}
}

// fill occupies the only worker of a small pool, and then its queue.
func fill(t *testing.T, p *Pool, worker gate) (queued []*probeJob) {
	t.Helper()
	offerAll(t, p, worker.job())
	for range p.cfg.Queue {
		queued = append(queued, &probeJob{})
	}
	offerAll(t, p, queued...)
	return queued
}

func TestPoolRunsJobsInOrder(t *testing.T) {
	cfg := small()
	cfg.Queue = 100
	inBubble(t, cfg, func(t *testing.T, p *Pool) {
		var order, want []int
		var jobs []*probeJob
		for i := range 100 {
			jobs = append(jobs, &probeJob{do: func() { order = append(order, i) }})
			want = append(want, i)
		}
		offerAll(t, p, jobs...)
		require.Equal(t, want, order)
	})
}

func TestPoolOfferAloneWakesNobody(t *testing.T) {
	inBubble(t, small(), func(t *testing.T, p *Pool) {
		j := &probeJob{}
		require.Equal(t, Accepted, p.Offer(j))
		synctest.Wait()
		require.Equal(t, fate{}, j.fate())
		p.Kick()
		synctest.Wait()
		require.Equal(t, fate{runs: 1}, j.fate())
	})
}

func TestPoolQueueBoundIsHard(t *testing.T) {
	inBubble(t, small(), func(t *testing.T, p *Pool) {
		worker := make(gate)
		queued := fill(t, p, worker)
		extra := &probeJob{}
		for range 1000 {
			require.Equal(t, Overloaded, p.Offer(extra))
		}
		s := p.Stats()
		require.Equal(t, 2, s.Queued)
		require.Equal(t, 2, s.peakQueued)
		require.EqualValues(t, 1000, s.Refused)

		worker.open()
		synctest.Wait()
		for _, j := range queued {
			require.Equal(t, fate{runs: 1}, j.fate())
		}
		require.Equal(t, fate{}, extra.fate(), "a refused job is not the pool's")
		require.Equal(t, Accepted, p.Offer(extra), "there is room again")
	})
}

// A job that bounds itself waits beyond the bound of the queue, behind all that wait already.
func TestPoolAddKnowsNoBound(t *testing.T) {
	inBubble(t, small(), func(t *testing.T, p *Pool) {
		worker := make(gate)
		queued := fill(t, p, worker)
		added := &probeJob{do: func() {
			for _, j := range queued {
				require.Equal(t, fate{runs: 1}, j.fate())
			}
		}}
		require.True(t, p.AddUnbounded(added))
		require.Equal(t, 3, p.Stats().Queued)
		require.Equal(t, Overloaded, p.Offer(&probeJob{}))
		worker.open()
		synctest.Wait()
		require.Equal(t, fate{runs: 1}, added.fate())
		p.Close(time.Minute)
		late := &probeJob{}
		require.False(t, p.AddUnbounded(late))
		synctest.Wait()
		require.Equal(t, fate{}, late.fate())
	})
}

func TestPoolShedsExpiredHeadBeforeItRefuses(t *testing.T) {
	inBubble(t, small(), func(t *testing.T, p *Pool) {
		worker := make(gate)
		defer worker.open()
		offerAll(t, p, worker.job())
		late := &probeJob{until: time.Now().Add(time.Second)}
		offerAll(t, p, late, &probeJob{})
		require.Equal(t, Overloaded, p.Offer(&probeJob{}), "nothing has expired yet")

		time.Sleep(time.Second)
		require.Equal(t, Accepted, p.Offer(&probeJob{}))
		require.Equal(t, fate{sheds: 1}, late.fate())
		require.Equal(t, Overloaded, p.Offer(&probeJob{}), "the new head has no deadline")
		require.EqualValues(t, 1, p.Stats().Shed)
	})
}

func TestPoolNeverRunsExpiredJobs(t *testing.T) {
	inBubble(t, small(), func(t *testing.T, p *Pool) {
		worker := make(gate)
		offerAll(t, p, worker.job())
		late := &probeJob{until: time.Now().Add(time.Second)}
		inTime := &probeJob{until: time.Now().Add(time.Second + 1)}
		offerAll(t, p, late, inTime)

		time.Sleep(time.Second)
		worker.open()
		synctest.Wait()
		require.Equal(t, fate{sheds: 1}, late.fate())
		require.Equal(t, fate{runs: 1}, inTime.fate())
		require.Equal(t, Stats{peakRunning: 1, peakQueued: 2, Done: 2, Shed: 1}, p.Stats())
	})
}

// "the job runs exactly once on the dispatcher; while it is busy the job is not taken"
func TestPoolSubmitterRunsOnTheDispatcher(t *testing.T) {
	inBubble(t, inSubmitterRuns(small()), func(t *testing.T, p *Pool) {
		worker, dispatcher := make(gate), make(gate)
		defer worker.open()
		queued := fill(t, p, worker)

		over := &probeJob{}
		over.do = func() { over.stack = debug.Stack(); <-dispatcher }
		require.Equal(t, Accepted, p.Offer(over), "and returns while the job runs")
		synctest.Wait()
		require.Equal(t, fate{runs: 1}, over.fate())
		require.Contains(t, string(over.stack), "(*Pool).dispatch")
		require.Equal(t, 2, p.Stats().Running, "Max and the dispatcher")

		next := &probeJob{}
		require.Equal(t, Busy, p.Offer(next))
		synctest.Wait()
		require.Equal(t, fate{}, next.fate())

		dispatcher.open()
		synctest.Wait()
		require.Equal(t, Accepted, p.Offer(next), "the dispatcher is free again")
		synctest.Wait()
		require.Equal(t, fate{runs: 1}, next.fate())
		require.Equal(t, fate{runs: 1}, over.fate())
		require.Equal(t, fate{}, queued[0].fate(), "the queue still waits for the worker")
	})
}

func TestPoolDispatcherShedsExpiredJobs(t *testing.T) {
	inBubble(t, inSubmitterRuns(small()), func(t *testing.T, p *Pool) {
		worker := make(gate)
		defer worker.open()
		fill(t, p, worker)
		late := &probeJob{until: time.Now()}
		offerAll(t, p, late)
		require.Equal(t, fate{sheds: 1}, late.fate())
	})
}

func TestPoolSubmitIsRefusedByFullQueue(t *testing.T) {
	inBubble(t, small(), func(t *testing.T, p *Pool) {
		worker := make(gate)
		defer worker.open()
		fill(t, p, worker)
		require.ErrorIs(t, p.Submit(t.Context(), &probeJob{}), ErrFull)
		require.EqualValues(t, 1, p.Stats().Refused)
	})
}

// jammed is a pool whose worker, queue and dispatcher are all taken.
func jammed(t *testing.T, p *Pool) (worker, dispatcher gate) {
	t.Helper()
	worker, dispatcher = make(gate), make(gate)
	fill(t, p, worker)
	offerAll(t, p, dispatcher.job())
	return worker, dispatcher
}

func TestPoolSubmitWaitsForTheDispatcher(t *testing.T) {
	inBubble(t, inSubmitterRuns(small()), func(t *testing.T, p *Pool) {
		worker, dispatcher := jammed(t, p)
		defer worker.open()
		j := &probeJob{}
		var err error
		returned := false
		go func() { err = p.Submit(t.Context(), j); returned = true }()
		synctest.Wait()
		require.False(t, returned)

		dispatcher.open()
		synctest.Wait()
		require.True(t, returned)
		require.NoError(t, err)
		require.Equal(t, fate{runs: 1}, j.fate())
		require.Zero(t, p.Stats().Refused, "a submit that waited was not refused")
	})
}

// A dispatcher blocked for ever must not hold up submits for which the queue has room.
func TestPoolSubmitsWaitForRoomInTheQueue(t *testing.T) {
	inBubble(t, inSubmitterRuns(small()), func(t *testing.T, p *Pool) {
		worker, dispatcher := jammed(t, p)
		defer dispatcher.open()
		jobs := make([]*probeJob, 5)
		for i := range jobs {
			jobs[i] = &probeJob{}
			go func() { _ = p.Submit(t.Context(), jobs[i]) }()
		}
		synctest.Wait()
		worker.open()
		synctest.Wait()
		for i, j := range jobs {
			require.Equal(t, fate{runs: 1}, j.fate(), "job %d", i)
		}
	})
}

// "One token may stand for room for many": who leaves passes it on while others wait.
func TestPoolSubmitPassesTheWordOn(t *testing.T) {
	p := New(inSubmitterRuns(small()))
	defer p.Close(0)
	p.addWaiting(2)
	p.addWaiting(0) // a second free place, noticed before anybody took the token
	require.Len(t, p.roomc, 1)

	<-p.roomc
	p.addWaiting(-1)
	require.Len(t, p.roomc, 1)
	<-p.roomc
	p.addWaiting(-1)
	require.Empty(t, p.roomc, "nobody is left to tell")
}

func TestPoolSubmitEndsWithItsContext(t *testing.T) {
	inBubble(t, inSubmitterRuns(small()), func(t *testing.T, p *Pool) {
		worker, dispatcher := jammed(t, p)
		defer worker.open()
		defer dispatcher.open()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		j := &probeJob{}
		require.ErrorIs(t, p.Submit(ctx, j), context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(began))
		require.Equal(t, fate{}, j.fate())
		require.EqualValues(t, 1, p.Stats().Refused)
	})
}

func TestPoolCloseEndsWaitingSubmits(t *testing.T) {
	inBubble(t, inSubmitterRuns(small()), func(t *testing.T, p *Pool) {
		worker, dispatcher := jammed(t, p)
		defer worker.open()
		defer dispatcher.open()
		j := &probeJob{}
		var err error
		go func() { err = p.Submit(t.Context(), j) }()
		synctest.Wait()
		p.Close(0)
		synctest.Wait()
		require.ErrorIs(t, err, ErrClosed)
		require.Equal(t, fate{}, j.fate())
	})
}

// "a submit inside a full blocking pool deadlocks": not in this pool.
func TestPoolNestedSubmitsDoNotDeadlock(t *testing.T) {
	cfg := small()
	cfg.Core, cfg.Max = 2, 4
	inBubble(t, cfg, func(t *testing.T, p *Pool) {
		const parents = 6 // four run and two wait, then all is full
		var full atomic.Int32
		start := make(gate)
		var jobs []*probeJob
		for range parents {
			jobs = append(jobs, &probeJob{do: func() {
				<-start
				for range 10 {
					if p.Submit(t.Context(), &probeJob{}) != nil {
						full.Add(1)
					}
				}
			}})
		}
		for _, j := range jobs {
			offerAll(t, p, j)
		}
		start.open()
		synctest.Wait()
		s := p.Stats()
		require.Zero(t, s.Running+s.Queued, "nothing hangs")
		require.EqualValues(t, parents+10*parents, s.Done+int64(full.Load()))
	})
}
