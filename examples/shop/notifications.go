package main

import (
	"context"

	"broach"
)

// serveNotifications sends a mail for each order. Of the processes of this name one has each event. That an event comes
// once more does no harm: an order has one mail.
func serveNotifications(n *broach.Node, _ App) error {
	store := bindStore(n)
	_, err := n.Subscribe("sold", func(ctx context.Context, r Receipt) error { return store.Mail(ctx, r.Order.ID) })
	return err
}
