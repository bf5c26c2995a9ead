package gateway

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"slices"
	"strconv"
	"sync"
	"time"

	"broach"
)

// Workers are programs that serve functions without being nodes: they ask the gateway for the next call, and post what
// came of it. The node of the gateway offers their functions. Several workers may offer one; its calls go to those with
// a free slot, in turn.
//
// A call that no worker has fetched has not run, so it can go to another provider. One that was fetched may have.

// Limits of workers.
const (
	workersMost    = 256
	offersMost     = 1000 // functions of a worker
	slotsMost      = 1024 // calls that a worker runs at once
	slotsUnsaid    = 16
	workerSilence  = 10 * time.Second // without a poll, after which a worker is gone
	workerDropped  = 2 * time.Second  // the same after a poll that was broken off
	pollMost       = 60 * time.Second
	leaveMost      = 30 * time.Second // that calls under way are waited for
	lookForSilence = time.Second
)

// workers are all of a gateway.
type workers struct {
	g      *Gateway
	mu     sync.Mutex // guards what follows, and all of each worker but its channels
	byID   map[string]*worker
	offers map[string]*offer
	calls  uint64 // ids that were given away
}

// An offer is one function, with those who serve it.
type offer struct {
	workers []*worker
	next    int // whose turn it is
}

// A worker is one program that has said what it serves.
type worker struct {
	id    string
	token [sha256.Size]byte
	name  string
	names []string // of its functions
	slots int

	wakec    chan struct{} // has something when waiting or canceled have
	gonec    chan struct{} // closed when it is gone
	waiting  []*job
	running  map[string]*job // fetched, by id
	canceled []string        // ids that it is to be told of
	emptyc   chan struct{}   // closed when it leaves and nothing is under way; nil: it does not leave
	polls    int
	seen     time.Time // when the last poll ended
}

// A job is one call.
type job struct {
	id, function string
	args         []any
	deadline     time.Time // zero: none
	meta         map[string]string
	from         string

	movec    chan struct{} // has something when another worker may have it sooner
	gonec    chan struct{} // that of the worker
	fetchedc chan struct{} // closed when the worker has it
	donec    chan struct{} // closed when value and err are there
	value    any
	err      error
}

func (ws *workers) init(g *Gateway) {
	ws.g, ws.byID, ws.offers = g, map[string]*worker{}, map[string]*offer{}
	if len(g.set.workers) > 0 {
		g.tasks.Go(ws.attend)
	}
}

// attend takes leave of workers that are silent, and at the end of all.
func (ws *workers) attend() {
	ticker := time.NewTicker(lookForSilence)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			ws.endAll(func(w *worker) bool {
				isLeaving := w.emptyc != nil // its DELETE waits, and ends it
				return w.polls == 0 && !isLeaving && now.Sub(w.seen) > workerSilence
			})
			ws.moveWaiting(now)
		case <-ws.g.ctx.Done():
			ws.endAll(func(*worker) bool { return true })
			return
		}
	}
}

func (ws *workers) endAll(isOver func(*worker) bool) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for _, w := range ws.byID {
		if isOver(w) {
			ws.end(w)
		}
	}
}

// end forgets a worker. What waits for it learns that by gonec.
func (ws *workers) end(w *worker) {
	if ws.byID[w.id] == w {
		delete(ws.byID, w.id)
		ws.withdraw(w)
		close(w.gonec)
	}
}

// withdraw takes a worker's functions back, where nobody else serves them.
func (ws *workers) withdraw(w *worker) {
	for _, name := range w.names {
		o := ws.offers[name]
		if o == nil {
			continue
		}
		o.workers = slices.DeleteFunc(o.workers, func(other *worker) bool { return other == w })
		if len(o.workers) == 0 {
			delete(ws.offers, name)
			_ = ws.g.node.Unregister(name) // a closed node offers nothing
		}
	}
	w.names = nil
}

// An offering is what a worker says of itself.
type offering struct {
	Name      string `json:"name"`
	Slots     int    `json:"slots"`
	Functions []struct {
		Name       string `json:"name"`
		Doc        string `json:"doc"`
		Idempotent bool   `json:"idempotent"`
	} `json:"functions"`
}

// add takes a worker in, with all its functions or none.
func (ws *workers) add(o *offering, now time.Time) (w *worker, token string, err error) {
	token = randomID()
	w = &worker{id: randomID(), token: sha256.Sum256([]byte(token)), name: o.Name, slots: o.Slots, seen: now,
		wakec: make(chan struct{}, 1), gonec: make(chan struct{}), running: map[string]*job{}}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if len(ws.byID) >= workersMost || ws.g.ctx.Err() != nil {
		return nil, "", broach.Errorf(broach.Overloaded, "the gateway has %d workers, and takes no more", len(ws.byID))
	}
	for _, f := range o.Functions {
		if err := ws.serve(w, f.Name, f.Doc, f.Idempotent); err != nil {
			ws.withdraw(w)
			return nil, "", err
		}
	}
	ws.byID[w.id] = w
	return w, token, nil
}

func randomID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// serve has a worker serve a function, which the node offers from the first worker on.
func (ws *workers) serve(w *worker, name, doc string, isIdempotent bool) error {
	o := ws.offers[name]
	if o == nil {
		o = &offer{}
		opts := []broach.RegisterOption{broach.Doc(doc), broach.ServeInterceptors(ws.dispatch)}
		if isIdempotent {
			opts = append(opts, broach.Idempotent())
		}
		if err := ws.g.node.Register(name, await, opts...); err != nil {
			return err
		}
		ws.offers[name] = o
	}
	o.workers = append(o.workers, w)
	w.names = append(w.names, name)
	return nil
}

type jobKey struct{}

// await is every function that workers serve: it waits for what came of the job that its context has.
func await(ctx context.Context, _ ...any) (any, error) {
	j := ctx.Value(jobKey{}).(*job)
	select {
	case <-j.donec:
		return j.value, j.err
	case <-j.gonec:
		return nil, broach.Errorf(broach.Unreachable, "the worker has gone")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// dispatch gives a call to a worker, and waits until that has it. Until then the call has not run, and goes to another
// worker if that one ends, or is quiet.
func (ws *workers) dispatch(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
	j := &job{function: call.Service, args: arguments0(call), meta: call.Meta(), from: call.From.String(),
		movec: make(chan struct{}, 1), fetchedc: make(chan struct{}), donec: make(chan struct{})}
	j.deadline, _ = ctx.Deadline()
	for ctx.Err() == nil {
		w, err := ws.assign(j)
		if err != nil {
			return nil, err
		}
		select {
		case <-j.fetchedc:
		case <-j.movec:
		case <-ctx.Done():
		case <-w.gonec:
		}
		if !ws.takeBack(w, j) {
			defer ws.drop(w, j)
			return next(context.WithValue(ctx, jobKey{}, j), call)
		}
	}
	return nil, ctx.Err()
}

// takeBack takes a call from those that wait for a worker; false: the worker has it.
func (ws *workers) takeBack(w *worker, j *job) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	i := slices.Index(w.waiting, j)
	if i < 0 {
		return false
	}
	w.waiting = slices.Delete(w.waiting, i, i+1)
	w.empties()
	return true
}

// arguments0 are those of a call: the function declares them as one list.
func arguments0(call *broach.Invocation) []any {
	args := call.Args()
	if len(args) == 1 {
		if list, ok := args[0].([]any); ok {
			return list
		}
	}
	return args
}

// assign chooses a worker with a free slot.
func (ws *workers) assign(j *job) (*worker, error) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	o := ws.offers[j.function]
	if o == nil {
		return nil, broach.Errorf(broach.Unavailable, "the worker has gone")
	}
	w := o.choose(time.Now())
	if w == nil {
		return nil, broach.Errorf(broach.Overloaded, "all slots of the workers are taken")
	}
	ws.calls++
	j.id, j.gonec = strconv.FormatUint(ws.calls, 10), w.gonec
	w.waiting = append(w.waiting, j)
	w.wake()
	return w, nil
}

func (w *worker) wake() {
	select {
	case w.wakec <- struct{}{}:
	default:
	}
}

// drop forgets a call that a worker has had. One that still has it is told.
func (ws *workers) drop(w *worker, j *job) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if w.running[j.id] == j {
		delete(w.running, j.id)
		if w.canceled = append(w.canceled, j.id); len(w.canceled) > slotsMost {
			w.canceled = w.canceled[1:] // it will know when it has done the work
		}
		w.wake()
	}
	w.empties()
}

// empties tells who waits for it that nothing is under way any more.
func (w *worker) empties() {
	if w.emptyc != nil && len(w.waiting)+len(w.running) == 0 {
		close(w.emptyc)
		w.emptyc = nil
	}
}

// leave has a worker get no new calls. The channel is closed when none is under way; nil: it is leaving already.
func (ws *workers) leave(w *worker) <-chan struct{} {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if w.emptyc != nil {
		return nil
	}
	ws.withdraw(w)
	emptyc := make(chan struct{})
	w.emptyc = emptyc
	w.empties()
	return emptyc
}

// find returns a worker by its id and token.
func (ws *workers) find(id, token string) *worker {
	hash := sha256.Sum256([]byte(token))
	ws.mu.Lock()
	defer ws.mu.Unlock()
	w := ws.byID[id]
	if w == nil || subtle.ConstantTimeCompare(hash[:], w.token[:]) != 1 {
		return nil
	}
	return w
}

// take returns what a worker is to do next, if there is something: a call, or the id of one that is given up.
func (ws *workers) take(w *worker) (j *job, canceled string) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	switch {
	case len(w.canceled) > 0:
		canceled, w.canceled = w.canceled[0], w.canceled[1:]
	case len(w.waiting) > 0:
		j, w.waiting = w.waiting[0], w.waiting[1:]
		w.running[j.id] = j
		close(j.fetchedc)
	}
	if len(w.canceled)+len(w.waiting) > 0 {
		w.wake() // for another poll
	}
	return j, canceled
}

// finish says what came of a call; false: nobody waits for that any more.
func (ws *workers) finish(w *worker, id string, value any, err error) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	j := w.running[id]
	if j == nil {
		return false
	}
	delete(w.running, id)
	j.value, j.err = value, err
	close(j.donec)
	w.empties()
	return true
}

// polling counts the polls that wait: +1, -1.
func (ws *workers) polling(w *worker, change int, now time.Time) (isOne bool) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if change > 0 && w.polls > w.slots {
		return false
	}
	w.polls += change
	w.seen = now
	return true
}
