package broach

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
	inBubble(t, small(), func(t *testing.T, p *pool) {
		require.False(t, p.lend(&probeJob{}), "no worker has been started")
		offerAll(t, p, &probeJob{})

		guest, worker := make(gate), make(gate)
		job, next := guest.job(), worker.job()
		var visit sync.WaitGroup
		visit.Go(func() { require.True(t, p.lend(job)) })
		synctest.Wait()
		require.Equal(t, 1, p.stats().running)
		require.False(t, p.lend(&probeJob{}), "Max handlers run")
		require.Equal(t, accepted, p.offer(next))
		p.kick()
		synctest.Wait()
		require.Zero(t, next.fate().runs, "Max handlers run")
		guest.open()
		visit.Wait()
		synctest.Wait()
		require.Equal(t, fate{runs: 1}, job.fate())
		require.Equal(t, fate{runs: 1}, next.fate(), "the worker has its place back")
		require.False(t, p.lend(&probeJob{}), "it is at work")

		queued := &probeJob{}
		require.Equal(t, accepted, p.offer(queued))
		worker.open()
		synctest.Wait()
		require.Equal(t, fate{runs: 1}, queued.fate())
		late := &probeJob{until: time.Unix(0, 1)}
		require.True(t, p.lend(late))
		require.Equal(t, fate{sheds: 1}, late.fate())
		requireSettled(t, p)
		require.EqualValues(t, []int64{4, 1}, []int64{p.stats().done, p.stats().shed})
	})
}

// What a guest's job does to its goroutine leaves the pool as it was.
func TestPoolGuestMayPanicAndExit(t *testing.T) {
	inBubble(t, small(), func(t *testing.T, p *pool) {
		offerAll(t, p, &probeJob{})
		panics, exits := &probeJob{do: func() { panic("guest") }}, &probeJob{do: runtime.Goexit}
		require.True(t, p.lend(panics))
		var visit sync.WaitGroup
		visit.Go(func() { p.lend(exits) })
		visit.Wait()
		require.Equal(t, []any{"guest", errGoexit}, []any{panics.cause, exits.cause})
		requireSettled(t, p)
		require.True(t, p.lend(&probeJob{}))
		require.EqualValues(t, 2, p.stats().panics)
	})
}

// close waits for guests as for workers.
func TestPoolCloseWaitsForGuests(t *testing.T) {
	inBubble(t, small(), func(t *testing.T, p *pool) {
		offerAll(t, p, &probeJob{})
		guest := make(gate)
		var visit sync.WaitGroup
		visit.Go(func() { p.lend(guest.job()) })
		synctest.Wait()
		start := time.Now()
		require.Equal(t, 1, p.close(time.Second))
		require.Equal(t, time.Second, time.Since(start))
		require.False(t, p.lend(&probeJob{}))
		time.AfterFunc(time.Millisecond, guest.open)
		require.Zero(t, p.close(time.Second))
		require.Equal(t, time.Second+time.Millisecond, time.Since(start))
		visit.Wait()
	})
}
