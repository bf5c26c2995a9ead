package pool

import "time"

// Lend runs j on the calling goroutine, in the place of a worker that has nothing to do. If there is none, or jobs wait
// already, it does nothing and returns false. The caller's goroutine ends if the job calls runtime.Goexit.
//
// It says when the job has ended, if that has looked.
//
// The worker in whose place it stands sleeps on, but is not counted as parked: nobody tries to wake it.
func (p *Pool) Lend(now time.Time, j Job) (ended time.Time, ok bool) {
	p.mu.Lock()
	if p.closed || p.parked == 0 || p.queue.Len() > 0 {
		p.mu.Unlock()
		return ended, false
	}
	p.parked--
	p.guests++
	p.startJob()
	p.mu.Unlock()
	last := jobRan // also if the job ends this goroutine
	defer func() { p.endGuest(last) }()
	last, ended = p.doAt(now, j)
	return ended, true
}

// endGuest gives the worker its place back. What came meanwhile may need it; a pool that has closed has sent it home.
func (p *Pool) endGuest(last jobEnd) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.endJob(last)
	p.guests--
	if p.closed {
		p.searching++
		p.noteIdle()
		return
	}
	p.parked++
	p.callWorker()
}
