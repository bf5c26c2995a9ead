package broach

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"broach/internal/buffer"
	"broach/internal/function"
	"broach/internal/link"
	"broach/internal/pool"
	"broach/internal/ring"
)

const (
	backlogUnsaid = 1024
	backlogMost   = 65536
)

// SubscribeOption says more about a subscription of Node.Subscribe.
type SubscribeOption func(*subscribing)

// subscribing is what the options of Subscribe say.
type subscribing struct {
	to      audience // 0: none said
	backlog int
	wrong   []error // mistakes in its options
}

// EachInstance lets every instance of the program have each event.
func EachInstance() SubscribeOption { return func(s *subscribing) { s.address(eachInstance) } }

// OneAnywhere lets one of all instances of all applications that subscribe so have each event.
func OneAnywhere() SubscribeOption { return func(s *subscribing) { s.address(oneAnywhere) } }

func (s *subscribing) address(to audience) {
	if s.to != 0 && s.to != to {
		s.wrong = append(s.wrong, errors.New("EachInstance and OneAnywhere contradict each other"))
	}
	s.to = to
}

// Backlog is how many events may wait for the subscriber in this process: 1 to 65,536, without this option 1,024. One
// more is Overloaded. Together they have at most Config.MaxMessage bytes.
func Backlog(n int) SubscribeOption {
	return func(s *subscribing) {
		if s.backlog = n; n < 1 || n > backlogMost {
			s.wrong = append(s.wrong, fmt.Errorf("the Backlog is %d, must be from 1 to %d", n, backlogMost))
		}
	}
}

// Subscription is what Subscribe made. Many goroutines may use it at once.
type Subscription struct {
	node    *Node
	row     string
	backlog *backlog
}

// Subscribe has fn called with each event that is published under a topic: in one instance of each application
// (Config.Name) that subscribes, unless an option says something else. It is effective at once in this process, and
// everywhere as soon as the peers have heard of it, which takes as long as with Register: a publisher that must not
// miss the subscriber has WaitForSubscribers. It works before and after joining.
//
// The function takes the event, after a context.Context if it wants one, and returns nothing or an error; the rules for
// its types are those of Register, and for topics those for names, up to 198 bytes. A publisher's event need not be of
// the same type, as long as it fits. InvocationFrom tells who published it, its topic and metadata. The context ends
// with the node only.
//
// Events are handled one at a time, those of one publisher in the order in which it published them one after the other.
// They wait in a backlog meanwhile: a function that is slow or blocks delays no publisher and no other subscription,
// and the events that its backlog has no room for go to another instance, or are missed. Publishers have their answer
// by then: what the function returns, be it an error, or a panic, or that the event does not fit its type, is in the
// log only. An event is handled at most once, and lost if the process ends by anything but Leave.
//
// A function may be subscribed any number of times, to one topic too; each subscription gets the events. What breaks
// the rules is an InvalidArgument. Subscriptions count for the limits of Register, those of one topic with equal
// options as one: TooLarge. A closed node returns ErrClosed.
func (n *Node) Subscribe(topic string, fn any, opts ...SubscribeOption) (*Subscription, error) {
	if err := n.asMember("subscribe", topic); err != nil {
		return nil, err
	}
	if err := checkTopic(topic); err != nil {
		return nil, refused(InvalidArgument, "subscribe: %w", err)
	}
	f, err := subscriber(topic, fn)
	if err != nil {
		return nil, refused(InvalidArgument, "subscribe %s: %w", topic, err)
	}
	o := subscribing{backlog: backlogUnsaid}
	err = applyEach(opts, &o)
	if err := errors.Join(append(o.wrong, err)...); err != nil {
		return nil, refused(InvalidArgument, "subscribe %s: %w", topic, err)
	}
	f.interceptors, f.counts = n.cfg.ServeInterceptors, n.tallies.topics.Cell(topic)
	f.intercept(fn)
	s := &Subscription{node: n, row: cmp.Or(o.to, oneOfGroup).row(topic), backlog: n.newBacklog(f, o.backlog)}
	if err := n.change(func() (bool, error) { return n.subscribe(s.row, s.backlog) }); err != nil {
		return nil, err
	}
	return s, nil
}

// subscriber checks a function that is to have events.
func subscriber(topic string, fn any) (*service, error) {
	f, err := planService(topic, fn)
	switch {
	case err != nil:
		return nil, err
	case f.Parameters() != 1 || f.IsVariadic():
		return nil, fmt.Errorf("%T must have one parameter for the event, besides a context.Context", fn)
	case f.Results() > 0:
		return nil, fmt.Errorf("%T may return an error and nothing else", fn)
	}
	return f, nil
}

func (n *Node) newBacklog(f *service, most int) *backlog {
	return &backlog{function: f, pool: n.serving.pool, node: n.serving.provider.ctx, waiting: &n.serving.events.waiting,
		most: most, mostSize: n.linking.wires.MaxMessage}
}

// Close ends the subscription: when it returns, no event is taken up any more, and those that were are still handled.
// It may be called again, also by the function itself. A closed node returns ErrClosed.
func (s *Subscription) Close() error {
	return s.node.change(func() (bool, error) { return s.node.unsubscribe(s.row, s.backlog) })
}

// events is what a node does for its own subscriptions.
type events struct {
	waiting atomic.Int64 // in all backlogs together

	mu   sync.RWMutex          // protects all below: the reader looks, users change
	rows map[string][]*backlog // by the name that announces them
}

// subscribe takes up a subscription. It reports what change wants to know.
func (n *Node) subscribe(row string, b *backlog) (first bool, err error) {
	e := &n.serving.events
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.rows[row]) == 0 {
		if first, err = n.serving.offered.addFunction(row, n.rowFunction(row)); err != nil {
			return false, err
		}
	}
	e.rows[row] = append(e.rows[row], b)
	return first, nil
}

// unsubscribe takes it back. It may be gone already.
func (n *Node) unsubscribe(row string, b *backlog) (first bool, err error) {
	e := &n.serving.events
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
	return n.serving.offered.removeFunction(row)
}

// rowFunction is what stands in the service table for the subscriptions of a row. It is not for calls, [EVT-2].
func (n *Node) rowFunction(row string) *service {
	refuse := func([]byte) ([]byte, error) { return nil, failure(NotFound, No, "events are not called") }
	return &service{Func: function.Raw(row, refuse), name: row, takeEvent: n.serving.events.takeEvent}
}

// takeEvent gives an event to all subscriptions of its row, and answers whether they have it, [EVT-2].
func (e *events) takeEvent(r *request) {
	all, took := e.putInBacklogs(r)
	switch {
	case all == 0:
		r.answerCode(NotFound, No, "the subscription has been closed")
	case took == all:
		r.answer(link.Outcome{Body: r.frame(link.Outcome{Body: textNothing})})
	case took == 0:
		r.answerCode(Overloaded, No, "the subscriber has no room in its backlog")
	default:
		r.answerCode(Overloaded, Maybe, fmt.Sprintf("%d of %d subscribers have no room in their backlogs", all-took,
			all))
	}
}

// putInBacklogs puts an event into those that have room. The lock is held meanwhile: what is closed gets nothing more.
func (e *events) putInBacklogs(r *request) (all, took int) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, b := range e.rows[r.function.name] {
		all++
		if b.addEvent(r) {
			took++
		} else {
			b.function.counts.Refuse(r.came, 0, uint32(Overloaded))
		}
	}
	return all, took
}

// copyFor is an event as one subscription gets it, whose own it is but for the metadata, which nobody writes to. It was
// answered before it runs, so it counts as accepted.
func (r *request) copyFor(f *service) *request {
	c := &request{provider: r.provider, function: f, meta: r.meta, origin: r.origin, stage: accepted, isEvent: true}
	c.Args, c.Seq, c.Way, c.came = buffer.Copy(r.Args.B), r.Seq, link.OneWay, r.came
	return c
}

// dropEvents says how many events the closing of the node has cut off.
func (n *Node) dropEvents() {
	if waiting := n.serving.events.waiting.Load(); waiting > 0 {
		n.log.Warn("broach: events were taken and are not handled, as the node closes", "events", waiting)
	}
}

// backlogTurn is how many events a subscription handles before others get its worker.
const backlogTurn = 16

// backlog is where the events of one subscription wait for their turn. They run one at a time, in the order in which
// they came: the backlog is a job of the pool, at most once, and each time runs the next few. As long as events wait it
// is in the pool: so Leave sees them. It may be used by many goroutines at once.
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

// addEvent takes up an event, or returns false if there is no room. The event is copied: what it came in is free,
// however long it waits.
func (b *backlog) addEvent(event *request) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	size := len(event.Args.B)
	if b.node.Err() != nil || b.queue.Len() == b.most || b.size > 0 && b.size+size > b.mostSize {
		return false
	}
	b.queue.Push(event.copyFor(b.function))
	b.size += size
	b.waiting.Add(1)
	if !b.inPool {
		b.inPool = b.pool.AddUnbounded(b)
	}
	return true
}

// next takes an event out, or returns nil if there is none: then the backlog is not in the pool any more, and whoever
// called next has no part in it.
func (b *backlog) next() *request {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.node.Err() != nil || b.queue.Len() == 0 {
		b.inPool = false
		return nil
	}
	r := b.queue.Pop()
	b.size -= len(r.Args.B)
	b.waiting.Add(-1)
	return r
}

// Run handles a few events. Where there may be more it goes to the end of the pool's queue, as after an event that took
// its goroutine with it.
//
// The worker owns present until next has returned nil or the pool has the backlog again. From then on another worker
// may have it in hand.
func (b *backlog) Run(now time.Time) (ended time.Time) {
	for i := range backlogTurn {
		event := b.next()
		if event == nil {
			return ended
		}
		if i > 0 {
			now = time.Now()
		}
		b.present = event
		event.Run(now)
		b.present = nil
	}
	b.pool.AddUnbounded(b)
	return ended
}

// Failed ends an event whose function panicked. It takes none of the others with it. It comes instead of the end of
// run, and owns what that did.
func (b *backlog) Failed(v any, stack []byte) {
	event := b.present
	b.present = nil
	event.Failed(v, stack)
	b.pool.AddUnbounded(b)
}

// Expired, shed and reject do nothing: what waits has no deadline, and a node that closes counts what it drops.
func (b *backlog) Expired(time.Time) bool { return false }
func (b *backlog) Shed()                  {}
func (b *backlog) Reject()                {}
