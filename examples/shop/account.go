package main

import (
	"errors"
	"fmt"
	"time"
)

// account tells what became of all orders, and is an error if that is not as it should be.
func account(t *tills, db *tables) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	fmt.Printf("tills: %d orders placed, the longest took %v: %d sold, %d sold out, %d failed\n",
		t.placed, t.longest.Round(time.Millisecond), t.sold, t.soldOut, len(t.failed))
	for _, err := range t.failed[:min(len(t.failed), 5)] {
		fmt.Println("  ", err)
	}
	orders := times(db.sales, func(r Receipt) int { return r.Order.ID })
	correct := 0 // bookings of which the till was told
	for _, r := range t.receipts {
		if r == db.booked[r.Order.ID] {
			correct++
		}
	}
	clicked := t.sold - len(t.receipts)
	fmt.Printf("booked: %d orders, %d twice; %d were clicked twice, %d came again in a call made again; by %v\n",
		len(orders), len(db.sales)-len(orders), clicked, db.again.booked-clicked,
		times(db.sales, func(r Receipt) string { return r.Till }))
	mails := times(db.mails, func(order int) int { return order })
	fmt.Printf("mails: %d orders have one, %d none, %d two\n",
		len(mails), len(orders)-len(mails), len(db.mails)-len(mails))
	fmt.Printf("   an event is handled at most once: %d times it was published again, since there was no mail yet,\n"+
		"   and %d times there was a mail already, and there was no second one\n", db.again.told, db.again.mailed)
	if len(t.failed) > 0 || len(orders) != len(db.sales) || len(orders) != len(t.receipts) || len(orders) != correct ||
		len(orders) != len(mails) || len(orders) != len(db.mails) {
		return errors.New("this is not as it should be")
	}
	return nil
}

// times is how often there is what.
func times[T any, K comparable](list []T, of func(T) K) map[K]int {
	count := map[K]int{}
	for _, v := range list {
		count[of(v)]++
	}
	return count
}
