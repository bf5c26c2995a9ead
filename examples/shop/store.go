package main

import (
	"context"
	"maps"
	"sync"
	"time"

	"broach"
)

// Store is how others call what stands for a database here: it outlives them, and has what has an ID once. There is one
// only: whoever finds it away waits, and heeds no breaker, which could not send calls elsewhere.
type Store struct {
	Take   func(ctx context.Context, o Order) (left int, taken bool, err error)
	Book   func(ctx context.Context, r Receipt) (first Receipt, isNew bool, err error)
	Mail   func(ctx context.Context, order int) error
	Untold func(ctx context.Context) ([]Receipt, error) // for which there has been no mail in a second
}

func bindStore(n *broach.Node) (s Store) {
	broach.BindAll(n, "store", &s, broach.WaitReady(), broach.NoBreaker())
	return s
}

// tables have the methods that Store calls.
type tables struct {
	mu     sync.Mutex // protects all below
	shelf  map[string]int
	taken  map[int]bool // orders
	booked map[int]Receipt
	outbox map[int]time.Time // when orders were booked for which there has been no mail yet
	sales  []Receipt         // all, as they were booked
	mails  []int             // all, as they were sent
	again  struct{ booked, told, mailed int }
}

func serveStore(n *broach.Node, app App) (*tables, error) {
	t := &tables{
		shelf: maps.Clone(app.Shelf), taken: map[int]bool{}, booked: map[int]Receipt{}, outbox: map[int]time.Time{},
	}
	return t, n.RegisterAll("store", t, broach.Idempotent())
}

func (t *tables) Take(o Order) (left int, taken bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.taken[o.ID] && t.shelf[o.Item] >= o.Count {
		t.taken[o.ID] = true
		t.shelf[o.Item] -= o.Count
	}
	return t.shelf[o.Item], t.taken[o.ID]
}

// Book finds out at which till the order was placed: the metadata of that call have come along through the orders.
func (t *tables) Book(ctx context.Context, r Receipt) (first Receipt, isNew bool) {
	defer time.Sleep(10 * time.Millisecond) // a disk takes its time, but holds no lock
	t.mu.Lock()
	defer t.mu.Unlock()
	if first, ok := t.booked[r.Order.ID]; ok {
		t.again.booked++
		return first, false
	}
	call, _ := broach.InvocationFrom(ctx)
	r.Till = call.Meta()["till"]
	t.booked[r.Order.ID], t.outbox[r.Order.ID] = r, time.Now()
	t.sales = append(t.sales, r)
	return r, true
}

func (t *tables) Mail(order int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.outbox[order]; !ok {
		t.again.mailed++
		return
	}
	delete(t.outbox, order)
	t.mails = append(t.mails, order)
}

func (t *tables) Untold() (left []Receipt) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for order, at := range t.outbox {
		if time.Since(at) > time.Second {
			left = append(left, t.booked[order])
		}
	}
	t.again.told += len(left)
	return left
}

// awaitMails waits until there is a mail for each order, for so long at most.
func (t *tables) awaitMails(most time.Duration) {
	for end := time.Now().Add(most); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		t.mu.Lock()
		left := len(t.outbox)
		t.mu.Unlock()
		if left == 0 {
			return
		}
	}
}
