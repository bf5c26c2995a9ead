package pool

import (
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A guest takes the place of a worker: without one to spare, or with jobs that came first, it is refused.
func TestPoolGuestTakesAWorkersPlace(t *testing.T) {
	inBubble(t, small(), func(t *testing.T, p *Pool) {
		require.False(t, lend(p, &probeJob{}), "no worker has been started")
		offerAll(t, p, &probeJob{})

		guest, worker := make(gate), make(gate)
		job, next := guest.job(), worker.job()
		var visit sync.WaitGroup
		visit.Go(func() { require.True(t, lend(p, job)) })
		synctest.Wait()
		require.Equal(t, 1, p.Stats().Running)
		require.False(t, lend(p, &probeJob{}), "Max handlers run")
		require.Equal(t, Accepted, p.Offer(next))
		p.Kick()
		synctest.Wait()
		require.Zero(t, next.fate().runs, "Max handlers run")
		guest.open()
		visit.Wait()
		synctest.Wait()
		require.Equal(t, fate{runs: 1}, job.fate())
		require.Equal(t, fate{runs: 1}, next.fate(), "the worker has its place back")
		require.False(t, lend(p, &probeJob{}), "it is at work")

		queued := &probeJob{}
		require.Equal(t, Accepted, p.Offer(queued))
		worker.open()
		synctest.Wait()
		require.Equal(t, fate{runs: 1}, queued.fate())
		late := &probeJob{until: time.Unix(0, 1)}
		require.True(t, lend(p, late))
		require.Equal(t, fate{sheds: 1}, late.fate())
		requireSettled(t, p)
		require.EqualValues(t, []int64{4, 1}, []int64{p.Stats().Done, p.Stats().Shed})
	})
}

// What a guest's job does to its goroutine leaves the pool as it was.
func TestPoolGuestMayPanicAndExit(t *testing.T) {
	inBubble(t, small(), func(t *testing.T, p *Pool) {
		offerAll(t, p, &probeJob{})
		panics, exits := &probeJob{do: func() { panic("guest") }}, &probeJob{do: runtime.Goexit}
		require.True(t, lend(p, panics))
		var visit sync.WaitGroup
		visit.Go(func() { lend(p, exits) })
		visit.Wait()
		require.Equal(t, []any{"guest", ErrGoexit}, []any{panics.cause, exits.cause})
		requireSettled(t, p)
		require.True(t, lend(p, &probeJob{}))
		require.EqualValues(t, 2, p.Stats().Panics)
	})
}

// close waits for guests as for workers.
func TestPoolCloseWaitsForGuests(t *testing.T) {
	inBubble(t, small(), func(t *testing.T, p *Pool) {
		offerAll(t, p, &probeJob{})
		guest := make(gate)
		var visit sync.WaitGroup
		visit.Go(func() { lend(p, guest.job()) })
		synctest.Wait()
		start := time.Now()
		require.Equal(t, 1, p.Close(time.Second))
		require.Equal(t, time.Second, time.Since(start))
		require.False(t, lend(p, &probeJob{}))
		time.AfterFunc(time.Millisecond, guest.open)
		require.Zero(t, p.Close(time.Second))
		require.Equal(t, time.Second+time.Millisecond, time.Since(start))
		visit.Wait()
	})
}

// lend lends a job a worker's place, and reports whether there was one.
func lend(p *Pool, j Job) bool {
	_, ok := p.Lend(time.Now(), j)
	return ok
}
