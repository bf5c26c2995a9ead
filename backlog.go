package broach

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"broach/internal/pool"
	"broach/internal/ring"
)

// backlogTurn is how many events a subscription handles before others get its worker.
const backlogTurn = 16

// backlog is where the events of one subscription wait for their turn. They run one at a time, in the order in which they came: the
// backlog is a job of the pool, at most once, and each time runs the next few. As long as events wait it is in the pool: so Leave sees them. It
// may be used by many goroutines at once.
type backlog struct {
	function *service
	pool     *pool.Pool
	node     context.Context // ends with the node: then nothing comes in or out any more
	waiting  *atomic.Int64   // events in all backlogs of the node
	most     int             // events that may wait
	mostSize int             // bytes of all that wait, if they are more than one

	present *request // the one that runs, or nil: of the worker that has the job in hand

	mu     sync.Mutex          // protects all below: the reader puts in, a worker takes out
	queue  ring.Ring[*request] // queue.len() <= most
	size   int                 // bytes of all in the queue
	inPool bool                // as a job, or running
}

// add takes up an event, or returns false if there is no room. The event is copied: what it came in is free, however long it waits.
func (b *backlog) add(event *request) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	size := len(event.args.B)
	if b.node.Err() != nil || b.queue.Len() == b.most || b.size > 0 && b.size+size > b.mostSize {
		return false
	}
	b.queue.Push(event.copyFor(b.function))
	b.size += size
	b.waiting.Add(1)
	if !b.inPool {
		b.inPool = b.pool.Add(b)
	}
	return true
}

// next takes an event out, or returns nil if there is none: then the backlog is not in the pool any more, and whoever called next has no part in it.
func (b *backlog) next() *request {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.node.Err() != nil || b.queue.Len() == 0 {
		b.inPool = false
		return nil
	}
	r := b.queue.Pop()
	b.size -= len(r.args.B)
	b.waiting.Add(-1)
	return r
}

// Run handles a few events. Where there may be more it goes to the end of the pool's queue, as after an event that took its
// goroutine with it.
//
// The worker owns present until next has returned nil or the pool has the backlog again. From then on another worker may have it in hand.
func (b *backlog) Run() {
	for range backlogTurn {
		event := b.next()
		if event == nil {
			return
		}
		b.present = event
		event.Run()
		b.present = nil
	}
	b.pool.Add(b)
}

// Failed ends an event whose function panicked. It takes none of the others with it. It comes instead of the end of run, and owns what that did.
func (b *backlog) Failed(v any, stack []byte) {
	event := b.present
	b.present = nil
	event.Failed(v, stack)
	b.pool.Add(b)
}

// Expired, shed and reject do nothing: what waits has no deadline, and a node that closes counts what it drops.
func (b *backlog) Expired(time.Time) bool { return false }
func (b *backlog) Shed()                  {}
func (b *backlog) Reject()                {}
