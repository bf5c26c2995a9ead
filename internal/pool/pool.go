// Package pool runs the functions of users, and nothing else does. What is run is a Job, which the pool does not look
// into.
//
// The pool bounds what others can make a node do at once: so many workers, so many jobs that wait, and one dispatcher
// for those beyond. A job that is taken is answered for exactly once: it is run, shed because its deadline has passed,
// or rejected because the pool closes. A job that panics, or ends its goroutine, takes down nothing but itself.
//
// Workers that stay are goroutines of the pool's own, woken by a condition: a channel would cost a switch of goroutines
// for each job. Those beyond them come and go as an ants pool lets them. A caller's goroutine can stand in for a worker
// that has nothing to do (guest.go): the reader runs functions that take a microsecond that way.
//
// When jobs expire while they wait, the newest are run first, for the oldest have hardly any time left (worker.go,
// nextJob).
//
// In reading order:
//
//	pool.go    Job, Limits, Pool: how a job gets in, and how the pool closes
//	worker.go  how it is run
//	growth.go  when workers are added
//	guest.go   in a worker's place
package pool

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"broach/internal/ring"

	"github.com/panjf2000/ants/v2"
)

// What Submit returns for a job that was not taken; it never ran and never will.
var (
	ErrFull   = errors.New("the queue is full")
	ErrClosed = errors.New("the pool is closed")
)

// A Job is one piece of user code to run, with what to do when it cannot.
// A job the pool has accepted gets exactly one of Run, Shed and Reject, on any
// goroutine but under no lock of the pool. The pool does not touch it after
// that call, or after Failed where Run did not return: it may be reused.
type Job interface {
	// Run runs user code, and says when it has ended; zero: it has not looked
	Run(now time.Time) (ended time.Time)
	// Expired says that the deadline has passed or the caller has gone. It may
	// be asked under the pool's lock: it is quick and runs no user code.
	Expired(now time.Time) bool
	// Shed comes instead of Run when the job leaves the queue expired. It runs
	// no user code, and may come from within Offer of another job.
	Shed()
	Failed(v any, stack []byte) // Run panicked with v; ErrGoexit if it ended its goroutine
	Reject()                    // the pool closed while the job was queued
}

// Limits are those of a pool, all of them set.
type Limits struct {
	Core           int           // workers that stay
	Max            int           // jobs that workers run at once
	Queue          int           // jobs waiting for a worker
	GrowAt         int           // waiting jobs at which a worker beyond Core is added
	KeepAlive      time.Duration // how long an idle worker beyond Core stays
	RejectWhenFull bool          // at a full queue: true refuses a job; false runs it before the next one is taken in
}

// A Verdict is what became of an offered job.
type Verdict uint8

const (
	Accepted   Verdict = iota // the pool has it
	Overloaded                // not taken: the queue is full, tell the caller
	// not taken: queue full and dispatcher at work, or closed; say nothing, the caller sends again
	Busy
)

// Pool runs jobs: the only place of a node where user code runs.
//
// Jobs wait in one bounded queue. Up to Core workers, started as jobs come,
// stay and serve it. Up to Max-Core more are drain tasks carried by an ants
// pool: each serves the queue until it is empty. When the queue is full,
// RejectWhenFull decides: either the job is refused, or it runs at once on
// the dispatcher, one goroutine besides the workers that carries one job at
// a time. So at most Max handlers run at once, Max+1 with a dispatcher.
//
// All methods may be called at any time from any goroutine. Nothing is called
// under the lock but Job.Expired.
type Pool struct {
	cfg       Limits
	drainTask func() // p.drain, bound once because a method value allocates

	stop    sync.Once
	closedc chan struct{} // closed when the pool takes no more jobs
	idlec   chan struct{} // closed when, after that, the last worker has ended
	roomc   chan struct{} // holds a token when a waiting Submit should try again

	refused atomic.Int64

	// mu protects everything below. A lock and not an owner, since the socket
	// reader must hand over a job without a goroutine switch.
	mu     sync.Mutex
	closed bool
	queue  ring.Ring[Job] // queue.len() <= cfg.Queue, without what AddUnbounded put in; empty once closed
	late   bool           // jobs have expired since the queue was last empty
	taken  uint           // jobs taken out

	// Core workers: searching + parked + guests + those at work == cores <= cfg.Core.
	cores     int
	searching int       // looking for a job, or started or woken to do so
	parked    int       // waiting for wake
	guests    int       // asleep while the goroutine of another runs a job in their place
	wake      sync.Cond // on mu

	// Drain tasks: handed over or at work == extras <= cfg.Max-cfg.Core.
	extra   *ants.Pool // nil until first needed
	extras  int
	growing bool // one has been handed over and has not looked at the queue yet

	dispatching bool // the dispatcher carries a job
	waiting     int  // submits waiting for room

	counts Stats // its queued and refused are filled in by Stats
}

// Stats are the counters of a pool since it was made, and two gauges.
type Stats struct {
	Running     int   // jobs in the hands of workers and dispatcher now
	Queued      int   // jobs waiting now
	peakRunning int   // most running at once
	peakQueued  int   // most waiting at once
	Done        int64 // jobs run to their end, whatever end
	Panics      int64 // of those, ended by a panic or runtime.Goexit
	Shed        int64 // taken, but expired before they could run
	rejected    int64 // taken, but still waiting when the pool closed
	Refused     int64 // not taken by Offer or Submit
}

// New returns a pool without any goroutine yet. cfg has its defaults
// filled in and has been checked.
func New(cfg Limits) *Pool {
	p := &Pool{
		cfg:     cfg,
		closedc: make(chan struct{}),
		idlec:   make(chan struct{}),
		roomc:   make(chan struct{}, 1),
	}
	p.drainTask = p.drain
	p.wake.L = &p.mu
	return p
}

// Offer hands j over, or says why not. An accepted job is a worker's: it may
// have run, and be used again, before Offer returns. It never blocks and wakes nobody: call
// Kick after the last of a batch. It may shed another job: hold no lock that
// Shed takes.
func (p *Pool) Offer(j Job) Verdict {
	v := p.place(j)
	if v != Accepted {
		p.refused.Add(1)
	}
	return v
}

// Submit is Offer and kick for local calls. Where Offer would say Overloaded
// it returns ErrFull; where Busy it waits for room in the queue or for
// the dispatcher, until ctx ends or the pool closes, and returns ctx.Err() or
// ErrClosed. A job may submit others; where every worker and the
// dispatcher wait for room, only ctx ends that.
func (p *Pool) Submit(ctx context.Context, j Job) error {
	err := p.placeOrWait(ctx, j)
	if err != nil {
		p.refused.Add(1)
		return err
	}
	p.Kick()
	return nil
}

// AddUnbounded hands over, as Offer does, a job that others bound: it waits even where the queue is full. It
// returns false if the pool is closed.
func (p *Pool) AddUnbounded(j Job) bool {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return false
	}
	p.queue.Push(j)
	p.counts.peakQueued = max(p.counts.peakQueued, p.queue.Len())
	p.mu.Unlock()
	p.Kick()
	return true
}

// Kick sets workers on the jobs offered since the last Kick: it wakes or
// starts one, which calls the next if there is more to do, and applies the
// growth rule.
func (p *Pool) Kick() {
	p.mu.Lock()
	p.callWorker()
	grow := p.shouldGrow()
	p.mu.Unlock()
	if grow {
		p.handOver()
	}
}

// Stats returns the counters as they are now.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.counts
	s.Queued = p.queue.Len()
	s.Refused = p.refused.Load()
	return s
}

// Close takes no more jobs, rejects the queued ones and waits until the
// running ones have ended, at most for grace. It returns how many still run:
// user code cannot be stopped, only left behind. Later calls wait likewise.
func (p *Pool) Close(grace time.Duration) (stuck int) {
	p.stop.Do(p.shut)
	over := time.NewTimer(grace)
	defer over.Stop()
	select {
	case <-p.idlec:
	case <-over.C:
	}
	return p.Stats().Running
}

func (p *Pool) shut() {
	p.mu.Lock()
	p.closed = true
	close(p.closedc)
	left := p.queue
	p.queue = ring.Ring[Job]{}
	p.counts.rejected = int64(left.Len())
	p.searching += p.parked
	p.parked = 0
	p.wake.Broadcast()
	p.noteIdle()
	extra := p.extra
	p.mu.Unlock()

	if extra != nil {
		extra.Release() // ends its idle workers and its two clocks; a busy worker ends with its task
	}
	for left.Len() > 0 {
		left.Pop().Reject()
	}
}

// noteIdle is called, with mu held, after every change that can leave a closed
// pool without a goroutine.
func (p *Pool) noteIdle() {
	if p.closed && p.cores+p.extras+p.guests == 0 && !p.dispatching {
		close(p.idlec)
	}
}

// place queues j, or gives it to the dispatcher, or says why not.
func (p *Pool) place(j Job) Verdict {
	v, late := p.tryPlace(j)
	if late != nil {
		late.Shed()
	}
	return v
}

// tryPlace also returns the expired job, if any, that made room for j and is
// to be shed without the lock. One is enough, and keeps the cost of an offer
// the same whatever is in the queue.
func (p *Pool) tryPlace(j Job) (v Verdict, late Job) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return Busy, nil
	case p.queue.Len() < p.cfg.Queue:
	case (*p.queue.At(0)).Expired(time.Now()):
		late = p.queue.Pop()
		p.late = true
		p.counts.Shed++
	case p.cfg.RejectWhenFull:
		return Overloaded, nil
	case p.dispatching:
		return Busy, nil
	default:
		p.dispatching = true
		p.startJob()
		go p.dispatch(j)
		return Accepted, nil
	}
	p.queue.Push(j)
	p.counts.peakQueued = max(p.counts.peakQueued, p.queue.Len())
	return Accepted, late
}

// placeOrWait places j, waiting for room if it must.
func (p *Pool) placeOrWait(ctx context.Context, j Job) error {
	switch p.place(j) {
	case Accepted:
		return nil
	case Overloaded:
		return ErrFull
	}
	p.addWaiting(1)
	defer p.addWaiting(-1)
	for p.place(j) != Accepted {
		select {
		case <-p.roomc:
		case <-ctx.Done():
			return ctx.Err()
		case <-p.closedc:
			return ErrClosed
		}
	}
	return nil
}

// addWaiting also passes the word on: one token may stand for room for many.
func (p *Pool) addWaiting(n int) {
	p.mu.Lock()
	p.waiting += n
	p.noteRoom()
	p.mu.Unlock()
}

// noteRoom is called, with mu held, when there may be room in the queue or the
// dispatcher may be free.
func (p *Pool) noteRoom() {
	if p.waiting == 0 || p.dispatching && p.queue.Len() >= p.cfg.Queue {
		return
	}
	select {
	case p.roomc <- struct{}{}:
	default:
	}
}
