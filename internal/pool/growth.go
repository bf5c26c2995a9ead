package pool

import (
	"time"

	"github.com/panjf2000/ants/v2"
)

// shouldGrow, with mu held, applies the growth rule: at GrowAt waiting jobs or
// more, one more drain task, unless one is on its way: that one applies the
// rule again. If it says yes the task is counted and handOver must follow.
func (p *Pool) shouldGrow() bool {
	if p.queue.Len() < p.growAt() || p.growing || p.extras == p.cfg.Max-p.cfg.Core {
		return false
	}
	if p.extra == nil {
		p.extra = newDrainPool(p.cfg.KeepAlive)
	}
	p.extras++
	p.growing = true
	return true
}

// growAt is 1 instead of GrowAt where there is no worker at all and never
// would be: without core workers, fewer than GrowAt jobs would wait for ever.
func (p *Pool) growAt() int {
	if p.cfg.Core == 0 && p.extras == 0 {
		return 1
	}
	return p.cfg.GrowAt
}

// newDrainPool makes the carrier of drain tasks. Its size is left open because
// extras bounds it already: ants counts a worker for a moment longer than its
// task lasts, and would refuse the next one, leaving jobs without a worker.
func newDrainPool(keepAlive time.Duration) *ants.Pool {
	extra, err := ants.NewPool(-1,
		ants.WithNonblocking(true),
		ants.WithExpiryDuration(keepAlive),
		// Panics of user code end in runJob. Only a bug of ours gets this far,
		// and without a handler ants would print it and go on.
		ants.WithPanicHandler(func(v any) { panic(v) }))
	if err != nil {
		panic("broach: internal error: " + err.Error())
	}
	return extra
}

// handOver gives the ants pool a drain task that has been counted. It is not
// called under mu, since ants may wait for its worker's goroutine.
func (p *Pool) handOver() {
	if p.extra.Submit(p.drainTask) == nil {
		return
	}
	p.mu.Lock() // refused: the pool has closed meanwhile
	p.growing = false
	p.extras--
	p.noteIdle()
	p.mu.Unlock()
}

// drain is one task of the ants pool: it runs queued jobs until there are none.
func (p *Pool) drain() {
	ended := false
	defer func() {
		if !ended {
			p.succeedDrain()
		}
	}()
	for j := p.nextForDrain(jobNone); j != nil; j = p.nextForDrain(p.do(j)) {
	}
	ended = true
}

// succeedDrain replaces a drain task whose job has ended its goroutine.
func (p *Pool) succeedDrain() {
	p.mu.Lock()
	p.endJob(jobRan)
	p.growing = true
	p.mu.Unlock()
	p.handOver()
}

// nextForDrain returns the next job for a drain task, or nil when the queue is empty.
// With its first job the task applies the growth rule for the kicks that came
// while it was on its way; later kicks have applied it themselves.
func (p *Pool) nextForDrain(last jobEnd) Job {
	p.mu.Lock()
	if last == jobNone {
		p.growing = false
	} else {
		p.endJob(last)
	}
	if p.queue.Len() == 0 {
		p.extras-- // under the same lock, so that the next kick counts without this task
		p.noteIdle()
		p.mu.Unlock()
		return nil
	}
	j := p.nextJob()
	grow := last == jobNone && p.shouldGrow()
	p.mu.Unlock()
	if grow {
		p.handOver()
	}
	return j
}
