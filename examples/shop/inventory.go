package main

import (
	"context"
	"fmt"

	"broach"
)

// Inventory is how others call the inventory.
type Inventory struct {
	Take func(ctx context.Context, o Order) (left int, err error) // once for an order, however often it is called
}

func bindInventory(n *broach.Node) (i Inventory) {
	broach.BindAll(n, "inventory", &i, broach.WaitReady())
	return i
}

// SoldOut is the error of an order for more than there is. It arrives as it is, through any number of processes.
type SoldOut struct {
	Item string
	Left int
}

func (e *SoldOut) Error() string { return fmt.Sprintf("only %d of %s left", e.Left, e.Item) }

func init() { broach.RegisterError("shop: sold out", (*SoldOut)(nil)) }

// inventory has the methods that Inventory calls.
type inventory struct{ store Store }

func serveInventory(n *broach.Node, _ App) error {
	return n.RegisterAll("inventory", &inventory{bindStore(n)}, broach.Idempotent())
}

func (i *inventory) Take(ctx context.Context, o Order) (left int, err error) {
	if o.Count < 1 {
		return 0, broach.Errorf(broach.InvalidArgument, "an order is for one piece at least, not for %d", o.Count)
	}
	left, taken, err := i.store.Take(ctx, o)
	if err == nil && !taken {
		err = &SoldOut{o.Item, left}
	}
	return left, err
}
