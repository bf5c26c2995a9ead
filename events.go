package broach

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"broach/internal/buffer"
	"broach/internal/function"
)

// events is what a node does for its own subscriptions.
type events struct {
	waiting atomic.Int64 // in all backlogs together

	mu   sync.RWMutex          // protects all below: the reader looks, users change
	rows map[string][]*backlog // by the name that announces them
}

// subscribe takes up a subscription. It reports what change wants to know.
func (n *Node) subscribe(row string, b *backlog) (first bool, err error) {
	e := &n.events
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.rows[row]) == 0 {
		if first, err = n.offered.add(row, n.rowFunction(row)); err != nil {
			return false, err
		}
	}
	e.rows[row] = append(e.rows[row], b)
	return first, nil
}

// unsubscribe takes it back. It may be gone already.
func (n *Node) unsubscribe(row string, b *backlog) (first bool, err error) {
	e := &n.events
	e.mu.Lock()
	defer e.mu.Unlock()
	i := slices.Index(e.rows[row], b)
	if i < 0 {
		return false, nil
	}
	if e.rows[row] = slices.Delete(e.rows[row], i, i+1); len(e.rows[row]) > 0 {
		return false, nil
	}
	delete(e.rows, row)
	return n.offered.remove(row)
}

// rowFunction is what stands in the service table for the subscriptions of a row. It is not for calls, [EVT-2].
func (n *Node) rowFunction(row string) *service {
	refuse := func([]byte) ([]byte, error) { return nil, failure(NotFound, No, "events are not called") }
	return &service{Func: function.Raw(row, refuse), name: row, take: n.events.take}
}

// take gives an event to all subscriptions of its row, and answers whether they have it, [EVT-2].
func (e *events) take(r *request) {
	all, took := e.offer(r)
	switch {
	case all == 0:
		r.fail(NotFound, No, "the subscription has been closed")
	case took == all:
		r.answer(outcome{body: r.frame(outcome{body: textNothing})})
	case took == 0:
		r.fail(Overloaded, No, "the subscriber has no room in its backlog")
	default:
		r.fail(Overloaded, Maybe, fmt.Sprintf("%d of %d subscribers have no room in their backlogs", all-took, all))
	}
}

// offer puts an event into the backlogs that have room. The lock is held meanwhile: what is closed gets nothing more.
func (e *events) offer(r *request) (all, took int) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, b := range e.rows[r.function.name] {
		all++
		if b.add(r) {
			took++
		}
	}
	return all, took
}

// copyFor is an event as one subscription gets it, whose own it is but for the metadata, which nobody writes to. It was answered before it runs, so it counts as accepted.
func (r *request) copyFor(f *service) *request {
	return &request{
		provider: r.provider, function: f, args: buffer.Copy(r.args.B), meta: r.meta, link: r.link, seq: r.seq, oneWay: true, accepted: true,
	}
}

// dropEvents says how many events the closing of the node has cut off.
func (n *Node) dropEvents() {
	if waiting := n.events.waiting.Load(); waiting > 0 {
		n.log.Warn("broach: events were taken and are not handled, as the node closes", "events", waiting)
	}
}
