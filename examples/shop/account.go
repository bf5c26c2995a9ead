package main

import (
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
	orders, mails, by, cents := map[int]int{}, map[int]int{}, map[string]int{}, 0
	for _, r := range db.sales {
		orders[r.Order.ID]++
		by[r.Till]++
		cents += r.Cents
	}
	for _, r := range t.receipts {
		cents -= r.Cents
	}
	for _, order := range db.mails {
		mails[order]++
	}
	clicked := t.sold - len(t.receipts) // twice
	fmt.Printf("booked: %d orders, %d twice; %d were clicked twice, %d were there already when a call was made again; %v\n",
		len(orders), len(db.sales)-len(orders), clicked, db.again.booked-clicked, by)
	fmt.Printf("mails: %d orders have one, %d none, %d two; %d times an event was lost or late and published again\n",
		len(mails), len(orders)-len(mails), len(db.mails)-len(mails), db.again.told)
	if len(t.failed) > 0 || len(orders) != len(db.sales) || len(orders) != len(t.receipts) || cents != 0 ||
		len(mails) != len(orders) || len(mails) != len(db.mails) {
		return fmt.Errorf("this does not balance: %d receipts, %d cents too many booked", len(t.receipts), cents)
	}
	return nil
}
