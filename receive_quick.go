package broach

import (
	"runtime"
	"sync/atomic"
	"time"

	"broach/internal/link"
	"broach/internal/udp"
)

// A call of a function that does little costs more to hand to a worker than to run: with one caller, the hand-over is a
// quarter of the whole round trip. So functions that have proven quick are run by the reader itself, as one of the
// pool's workers. If one of them does take long for once, another goroutine takes the reader over and leaves this one
// to it.

const (
	costSample  = 8                     // every how many calls a run is timed
	costUnknown = time.Millisecond      // what a function is taken to cost before it has been timed
	costQuick   = 10 * time.Microsecond // the reader runs what takes less
	costBatch   = 50 * time.Microsecond // and no more than this in one batch
	// replies of one batch go out in so many parts, so that callers are at work meanwhile:
	quickParts = 4
	quickPart  = 8                // 1.1 times the calls a second. In smaller parts they cost more than that
	tooLong    = time.Millisecond // then it is taken over, after one to two of these

	// What a reader that is full leaves to the workers needs processors: at least so many, for on two of them the pool
	// does two thirds of the calls that the reader does.
	fullProcessors = 4
	fullFrom       = 16 // batches in a row that lay there already
	fullKeeps      = 2  // functions that it still runs in a batch: who calls alone need not wait for a worker to wake
)

// runCost is how long a function runs, as a moving average. Its zero value knows nothing. It may be used at any time
// from any goroutine; of two times noted at once one may be lost.
type runCost struct{ ns atomic.Int64 }

// noteSince takes a run that began at start and ends now.
func (c *runCost) noteSince(start time.Time) {
	old := c.estimate()
	c.ns.Store(int64(old + (time.Since(start)-old)/4 + 1))
}

// estimate is what the next run will take.
func (c *runCost) estimate() time.Duration {
	if ns := c.ns.Load(); ns != 0 {
		return time.Duration(ns)
	}
	return costUnknown
}

// bar says that the function was not quick at all: it has to prove that again.
func (c *runCost) bar() { c.ns.Store(int64(costUnknown)) }

// takeover lets go of a reader that is stuck in a function. The timer runs only while functions do: arming it for each
// would cost more than they do.
type takeover struct {
	run   atomic.Uint64 // odd: a function runs. Each run has its own number
	armed atomic.Bool
	timer *time.Timer
	seen  uint64 // run when the timer last looked

	function *service // of the present run
}

func newReader(n *Node) *reader {
	r := &reader{
		linking: &n.linking, serving: &n.serving, stats: &n.stats, log: n.log, seedNotes: &n.seedNotes,
		inbox: n.loop.inbox, arrivals: n.loop.arrivals, stopped: n.socketClosed, in: make([]udp.Datagram, readMax),
		pressure: pressure{spreads: runtime.GOMAXPROCS(0) >= fullProcessors},
	}
	r.takeover.timer = time.AfterFunc(time.Hour, r.look)
	r.takeover.timer.Stop()
	return r
}

// pressure is how full a reader is. A node has one, so where it is full all the time, it bounds the calls of the node,
// however many processors there are: it alone takes datagrams in, and workers can run functions. Its zero value leaves
// nothing to them.
type pressure struct {
	spreads bool // there are processors for workers beside it
	inRow   int  // batches that lay there already when the one before was done
}

// note takes whether the reader had to wait for a batch.
func (p *pressure) note(waited bool) {
	if p.inRow++; waited {
		p.inRow = 0
	}
}

// leaves reports whether the workers get the next quick function of a batch, of which the reader has run so many.
func (p *pressure) leaves(ran int) bool { return p.spreads && p.inRow >= fullFrom && ran >= fullKeeps }

// keep takes a call that the reader is going to run itself, or returns false.
func (r *reader) keep(req *request) bool {
	cost := req.function.cost.estimate()
	if req.function.Streams() {
		return false // it waits for its reader
	}
	if cost > costQuick || r.spent+cost > costBatch {
		return false
	}
	r.spent += cost
	r.quick = append(r.quick, req)
	return true
}

// runQuick runs the calls that were kept. It reports whether the reader is still this goroutine's.
func (r *reader) runQuick() bool {
	if len(r.quick) == 0 {
		return true
	}
	now, part := time.Now(), max(len(r.quick)/quickParts, quickPart)
	for r.ran < len(r.quick) {
		req := r.quick[r.ran]
		r.quick[r.ran] = nil
		r.ran++
		if r.pressure.leaves(r.ran - 1) {
			r.toPool(req)
			continue
		}
		var full *link.Link // read before: when it has run, its memory may be another's
		if r.ran%part == 0 {
			full = req.link()
		}
		ended, ours := r.runOne(now, req)
		if !ours {
			return false
		}
		if full != nil {
			full.SendAll()
			ended = time.Time{}
		}
		if now = ended; ended.IsZero() {
			now = time.Now()
		}
	}
	r.quick, r.ran, r.spent = r.quick[:0], 0, 0
	return true
}

// runOne runs a call, in a worker's place if there is one to spare; else the workers get it. It says when the call has
// ended, if that is known: the next can run then.
func (r *reader) runOne(now time.Time, req *request) (ended time.Time, ours bool) {
	ended, ran, ours := r.lend(now, req)
	switch {
	case ran:
	case ours:
		r.toPool(req)
	case req.enqueue(r.serving.pool):
		r.serving.pool.Kick() // nobody else knows of it
	}
	return ended, ours
}

// lend runs a call in a worker's place, and reports whether there was one.
//
// Between beginRun and endRun the reader may be taken over: whoever changes takeover.run first has it, this goroutine
// by endRun or another by look. So nothing of it is touched in between, nor afterwards unless it is ours. The call
// stays this goroutine's in any case.
func (r *reader) lend(now time.Time, req *request) (ended time.Time, ran, ours bool) {
	run := r.takeover.beginRun(req.function)
	returned := false
	defer func() {
		if ours = r.takeover.endRun(run); ours && !returned {
			go r.read() // the function has ended this goroutine
		}
	}()
	ended, ran = r.serving.pool.Lend(now, req)
	returned = true
	return ended, ran, ours
}

// look takes the reader over when it finds it in the same run as the last time. The timer rests when it finds none.
func (r *reader) look() {
	t := &r.takeover
	run := t.run.Load()
	switch {
	case run%2 == 1 && run == t.seen && t.run.CompareAndSwap(run, run+1):
		t.function.cost.bar()
		t.rest()
		r.goOn()
	case run == t.seen:
		t.rest()
	default:
		t.seen = run
		t.timer.Reset(tooLong)
	}
}

// goOn is the reader's new life, on the goroutine of the timer.
func (r *reader) goOn() {
	for ; r.ran < len(r.quick); r.ran++ {
		r.toPool(r.quick[r.ran])
		r.quick[r.ran] = nil
	}
	r.read()
}

// beginRun is called before the reader runs a function, and endRun after it, which reports whether the reader still is
// the caller's.
func (t *takeover) beginRun(f *service) (run uint64) {
	t.function = f
	run = t.run.Add(1)
	t.watch()
	return run
}

func (t *takeover) endRun(run uint64) bool { return t.run.CompareAndSwap(run, run+1) }

// watch sees to it that the timer runs.
func (t *takeover) watch() {
	if !t.armed.Swap(true) {
		t.timer.Reset(tooLong)
	}
}

// rest lets the timer stop, unless a run has begun that counts on it.
func (t *takeover) rest() {
	seen := t.seen // the next to look may change it as soon as this one is not counted as armed
	t.armed.Store(false)
	if t.run.Load() != seen {
		t.watch()
	}
}
