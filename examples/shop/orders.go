package main

import (
	"context"
	"time"

	"broach"
)

// Order is what a customer wants. Whoever makes one gives it its ID.
type Order struct {
	ID    int
	Item  string
	Count int
}

// Receipt is what became of it.
type Receipt struct {
	Order Order
	Cents int
	Till  string // that placed it
}

// orders has the method that is called as orders.Place.
type orders struct {
	node      *broach.Node
	quote     *broach.Caller
	inventory Inventory
	store     Store
}

// serveOrders offers the orders. Place is idempotent by the ID of the order: if a process dies with it, another one
// does it again.
func serveOrders(n *broach.Node, _ App) error {
	o := &orders{n, n.Caller("quote", broach.WaitReady()), bindInventory(n), bindStore(n)}
	if _, err := n.Every(500*time.Millisecond, o.tellAgain, broach.OneOwner("outbox")); err != nil {
		return err
	}
	return n.RegisterAll("orders", o, broach.Idempotent())
}

// Place sells. That something is sold out, or not known, the caller is told as the other service said it; what the
// database has to say is no affair of the caller's.
func (o *orders) Place(ctx context.Context, order Order) (Receipt, error) {
	cents, off, err := broach.Call2[int, int](ctx, o.quote, order.Item, order.Count)
	if err != nil {
		return Receipt{}, err
	}
	if _, err := o.inventory.Take(ctx, order); err != nil {
		return Receipt{}, err
	}
	r, isNew, err := o.store.Book(ctx, Receipt{Order: order, Cents: cents - off})
	if err != nil {
		return Receipt{}, broach.Opaque(err)
	}
	if isNew {
		o.tell(ctx, r)
	}
	return r, nil
}

// tell publishes what was sold. An event that does not arrive is no error of the order's: tellAgain makes up for it.
func (o *orders) tell(ctx context.Context, r Receipt) {
	ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	_, _ = o.node.Publish(ctx, "sold", r)
}

// tellAgain publishes once more what nobody has sent a mail for, as after the death of a process that was about to. An
// event is handled at most once; by this, at least once.
func (o *orders) tellAgain(ctx context.Context) error {
	left, err := o.store.Untold(ctx)
	for _, r := range left {
		o.tell(ctx, r)
	}
	return err
}
