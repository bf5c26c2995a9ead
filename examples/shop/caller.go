package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"broach"
)

// items are what customers ask for, in turn. There is not enough cake.
var items = []string{"milk", "bread", "eggs", "cake"}

// tills place orders, and know what became of them.
type tills struct {
	place    func(ctx context.Context, o Order) (Receipt, error)
	all      sync.WaitGroup
	mu       sync.Mutex      // protects all below
	receipts map[int]Receipt // by order
	placed   int
	sold     int // those that were placed twice count twice
	soldOut  int
	failed   []error
	longest  time.Duration
}

func newTills(n *broach.Node) *tills {
	place := broach.Bind[func(context.Context, Order) (Receipt, error)](n, "orders.Place", broach.WaitReady())
	return &tills{place: place, receipts: map[int]Receipt{}}
}

// open has all tills place orders, until the func is called that it returns: when that returns each has its answer.
func (t *tills) open(ctx context.Context, app App) (closing func()) {
	ctx, cancel := context.WithCancel(ctx)
	for till := range app.Tills {
		t.all.Go(func() { t.serve(ctx, till, app) })
	}
	return func() { cancel(); t.all.Wait() }
}

// serve is one till: a customer comes every so often, whether or not the one before has been served. The order of every
// twentieth is placed twice, as when somebody clicks twice.
func (t *tills) serve(ctx context.Context, till int, app App) {
	next := time.NewTicker(time.Second * time.Duration(app.Tills) / time.Duration(app.OrdersASecond))
	defer next.Stop()
	for n := 0; ctx.Err() == nil; n++ {
		o := Order{ID: n*app.Tills + till, Item: items[n%len(items)], Count: 1 + n%3}
		who := broach.WithMeta(context.Background(), "till", fmt.Sprint("till ", till))
		t.all.Go(func() { t.order(who, o) })
		if n%20 == 0 {
			t.all.Go(func() { t.order(who, o) })
		}
		select {
		case <-next.C:
		case <-ctx.Done():
		}
	}
}

func (t *tills) order(ctx context.Context, o Order) {
	begin := time.Now()
	r, err := t.place(ctx, o)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.placed++
	t.longest = max(t.longest, time.Since(begin))
	if _, ok := errors.AsType[*SoldOut](err); ok { // the inventory said so, and the orders have returned it
		t.soldOut++
		return
	}
	if old, ok := t.receipts[o.ID]; err == nil && ok && old != r {
		err = fmt.Errorf("order %d has two receipts: %v and %v", o.ID, old, r)
	}
	if err != nil {
		t.failed = append(t.failed, err)
		return
	}
	t.sold++
	t.receipts[o.ID] = r
}

// retries counts calls that were made again at another process. It is a Tracer, for nobody else sees that.
type retries struct{ count atomic.Int64 }

func (r *retries) StartCall(ctx context.Context, _ string, _ broach.CallKind) (context.Context, broach.Span) {
	return ctx, r
}

func (r *retries) StartServe(
	ctx context.Context, _ string, _ broach.CallKind, _ netip.AddrPort, _ map[string]string,
) (context.Context, broach.Span) {
	return ctx, nil
}

func (r *retries) Carry() []string { return nil }

func (r *retries) Attempt(_ netip.AddrPort, n int, _ error) {
	if n > 1 {
		r.count.Add(1)
	}
}

func (r *retries) End(netip.AddrPort, time.Duration, error) {}
