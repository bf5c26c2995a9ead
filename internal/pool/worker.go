package pool

import (
	"errors"
	"runtime"
	"runtime/debug"
	"time"
)

// ErrGoexit is what a Job.Failed gets when user code called runtime.Goexit.
var ErrGoexit = errors.New("the handler ended its goroutine with runtime.Goexit")

// jobEnd is what a worker did since it last looked at the queue.
type jobEnd uint8

const (
	jobNone jobEnd = iota // nothing: it has just begun
	jobRan
	jobShed
)

// work is the life of a core worker, which is counted as searching when it begins.
func (p *Pool) work() {
	ended := false
	defer func() {
		if !ended {
			p.succeed()
		}
	}()
	for j := p.await(jobNone); j != nil; j = p.await(p.do(j)) {
	}
	ended = true
}

// succeed replaces a core worker whose job has ended its goroutine.
func (p *Pool) succeed() {
	p.mu.Lock()
	p.endJob(jobRan)
	p.searching++
	p.mu.Unlock()
	go p.work()
}

// await returns the next job for a core worker, or nil when the pool has closed.
func (p *Pool) await(last jobEnd) Job {
	p.mu.Lock()
	defer p.mu.Unlock()
	if last != jobNone {
		p.endJob(last)
		if p.queue.Len() > 0 {
			return p.nextJob()
		}
		p.searching++
		p.yield()
	}
	for p.queue.Len() == 0 {
		p.searching--
		if p.closed {
			p.cores--
			p.noteIdle()
			return nil
		}
		p.parked++
		p.wake.Wait() // callWorker has turned parked back into searching
	}
	p.searching--
	j := p.nextJob()
	p.callWorker()
	return j
}

// yield lets the producer run before this worker decides to park: under load
// the next batch comes meanwhile, and neither a park nor a wake-up is paid for.
func (p *Pool) yield() {
	p.mu.Unlock()
	runtime.Gosched()
	p.mu.Lock()
}

// callWorker, with mu held, sets one more core worker on the queue, unless one
// is on its way: that one calls the next when it takes its job. So a batch
// costs its producer one wake-up, and nobody is woken to find the queue empty.
func (p *Pool) callWorker() {
	switch {
	case p.queue.Len() == 0 || p.searching > 0:
	case p.parked > 0:
		p.parked--
		p.searching++
		p.wake.Signal()
	case p.cores < p.cfg.Core:
		p.cores++
		p.searching++
		go p.work()
	}
}

// dispatch is the dispatcher: it lives for one job, and there is never a second one.
func (p *Pool) dispatch(j Job) {
	last := jobRan // also if the job ends this goroutine
	defer func() {
		p.mu.Lock()
		p.endJob(last)
		p.dispatching = false
		p.noteRoom()
		p.noteIdle()
		p.mu.Unlock()
	}()
	last = p.do(j)
}

// oldestEvery is how often a worker takes the oldest job though the newest would be next: an eighth of the work at most
// is done in vain.
const oldestEvery = 8

// nextJob, with mu held, takes a job out of a queue that is not empty: the oldest, unless jobs expire while they wait.
// Then the oldest have hardly any time left, and to run them in turn would be to run all of them in vain: the newest
// one is taken, and the old ones as they expire, which costs nothing. Every few times it is the oldest all the same: it
// may be one that never expires, and was promised to run.
func (p *Pool) nextJob() Job {
	var j Job
	p.taken++
	if p.late && p.taken%oldestEvery != 0 && !(*p.queue.At(0)).Expired(time.Now()) {
		j = p.queue.PopNewest()
	} else {
		j = p.queue.Pop()
	}
	p.late = p.late && p.queue.Len() > 0
	p.startJob()
	p.noteRoom()
	return j
}

// startJob and endJob, with mu held, count a job from when a worker has it in
// hand until the worker next has the lock.
func (p *Pool) startJob() {
	p.counts.Running++
	p.counts.peakRunning = max(p.counts.peakRunning, p.counts.Running)
}

func (p *Pool) endJob(how jobEnd) {
	p.counts.Running--
	if how == jobRan {
		p.counts.Done++
	} else {
		p.counts.Shed++
		p.late = p.queue.Len() > 0
	}
}

// do runs j, or sheds it if it is too late.
func (p *Pool) do(j Job) jobEnd {
	how, _ := p.doAt(time.Now(), j)
	return how
}

// doAt also says when that was over, if the job has.
func (p *Pool) doAt(now time.Time, j Job) (how jobEnd, ended time.Time) {
	if j.Expired(now) {
		j.Shed()
		return jobShed, ended
	}
	return jobRan, p.runJob(now, j)
}

// runJob is the barrier between user code and the node: a panic stops here.
// runtime.Goexit cannot be stopped; the worker's own deferred call replaces
// the worker. Once run has returned j may belong to someone else.
func (p *Pool) runJob(now time.Time, j Job) (ended time.Time) {
	returned := false
	defer func() {
		if !returned {
			p.reportPanic(j, recover())
		}
	}()
	ended = j.Run(now)
	returned = true
	return ended
}

// reportPanic counts a job that did not return, and says so to it.
func (p *Pool) reportPanic(j Job, v any) {
	p.mu.Lock()
	p.counts.Panics++
	p.mu.Unlock()
	if v == nil {
		v = ErrGoexit
	}
	j.Failed(v, debug.Stack())
}
