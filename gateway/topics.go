package gateway

import (
	"context"
	"net/http"
	"sync"
	"time"

	"broach"
)

// Clients of one topic share one subscription, which begins with the first of them and ends with the last. An event is
// made JSON once, and waits for each client that is slow; a client that stays slow loses the oldest.

const (
	waitingMost      = 256      // events for a client
	waitingBytesMost = 16 << 20 // of these; all clients of a topic share them
	commentEvery     = 15 * time.Second
	writeMost        = 30 * time.Second // that a client takes to receive what is written
)

type topics struct {
	g      *Gateway
	mu     sync.Mutex // guards byName, and when subscriptions begin and end
	byName map[string]*topic
}

type topic struct {
	sub     *broach.Subscription
	mu      sync.Mutex // guards clients
	clients map[*client]bool
}

func (ts *topics) init(g *Gateway) { ts.g, ts.byName = g, map[string]*topic{} }

// join lets a client have the events of a topic.
func (ts *topics) join(name string, texts bool) (*client, error) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.g.ctx.Err() != nil {
		return nil, broach.ErrClosed
	}
	t := ts.byName[name]
	if t == nil {
		t = &topic{clients: map[*client]bool{}}
		sub, err := ts.g.node.Subscribe(name, func(v any) { ts.g.deliver(t, name, v) }, broach.EachInstance())
		if err != nil {
			return nil, err
		}
		t.sub, ts.byName[name] = sub, t
	}
	c := &client{wakec: make(chan struct{}, 1), texts: texts}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clients[c] = true
	return c, nil
}

func (ts *topics) leave(name string, c *client) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t := ts.byName[name]
	if t.remove(c) == 0 {
		delete(ts.byName, name)
		_ = t.sub.Close() // a closed node has ended it
	}
}

func (t *topic) remove(c *client) (left int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.clients, c)
	return len(t.clients)
}

// deliver gives an event to all clients of its topic.
func (g *Gateway) deliver(t *topic, name string, v any) {
	data, err := (&writer{}).append(nil, v, nil)
	if err != nil {
		g.set.log().Warn("broach: gateway: an event cannot be said in JSON", "topic", name, "error", err)
	}
	texts, _ := (&writer{texts: true}).append(nil, v, nil)
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.clients {
		switch {
		case err != nil:
			c.lose()
		case c.texts:
			c.put(texts)
		default:
			c.put(data)
		}
	}
}

// A client receives the events of one topic.
type client struct {
	texts bool          // 64-bit integers are texts
	wakec chan struct{} // has something when there is something to write

	mu      sync.Mutex // guards what follows
	waiting [][]byte
	bytes   int
	lost    int // before those that wait
}

func (c *client) put(data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.waiting) >= waitingMost || c.bytes+len(data) > waitingBytesMost && len(c.waiting) > 0 {
		c.bytes -= len(c.waiting[0])
		c.waiting = c.waiting[1:]
		c.lost++
	}
	c.waiting = append(c.waiting, data)
	c.bytes += len(data)
	c.wake()
}

func (c *client) lose() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost += len(c.waiting) + 1
	c.waiting, c.bytes = nil, 0
	c.wake()
}

func (c *client) wake() {
	select {
	case c.wakec <- struct{}{}:
	default:
	}
}

// wait returns true when something is to be written, and false when nothing has come for a while or one of the contexts
// has ended.
func (c *client) wait(request, gateway context.Context) bool {
	timer := time.NewTimer(commentEvery)
	defer timer.Stop()
	select {
	case <-c.wakec:
		return true
	case <-timer.C:
	case <-request.Done():
	case <-gateway.Done():
	}
	return false
}

// take returns what waits, with ids from id on, and the next id.
func (c *client) take(id uint64) ([]byte, uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := make([]byte, 0, c.bytes+32*len(c.waiting)+32)
	if c.lost > 0 {
		b = appendLost(b, c.lost)
	}
	id += uint64(c.lost)
	for _, data := range c.waiting {
		b = appendEvent(b, id, data)
		id++
	}
	c.waiting, c.bytes, c.lost = nil, 0, 0
	return b, id
}

// A flow is an answer that goes on. A client that takes nothing for a while is gone.
type flow struct {
	w http.ResponseWriter
	c *http.ResponseController
}

func newFlow(w http.ResponseWriter) *flow { return &flow{w, http.NewResponseController(w)} }

// write reports whether the client may still be there.
func (f *flow) write(b []byte) bool {
	_ = f.c.SetWriteDeadline(time.Now().Add(writeMost)) // a server without is not told
	if _, err := f.w.Write(b); err != nil {
		return false
	}
	return f.c.Flush() == nil
}

// close lets what else the connection is used for have its own time.
func (f *flow) close() { _ = f.c.SetWriteDeadline(time.Time{}) }
