package main

import "broach"

// NoSuchItem is the code of an order for what the shop does not have. Codes from 1000 on are the application's own.
const NoSuchItem broach.Code = 1000

// prices are in cents.
type prices map[string]int

// servePricing offers one function, under its own name. There is one such process only: who calls waits until it has
// been replaced, also if it was killed with the call, for the function is idempotent.
func servePricing(n *broach.Node, app App) error {
	return broach.RegisterFunc(n, prices(app.Cents).quote, broach.Idempotent(),
		broach.Doc("quote(item, count): what so many cost, and how much is taken off for many"))
}

func (p prices) quote(item string, count int) (cents, off int, err error) {
	each, ok := p[item]
	if !ok {
		return 0, 0, broach.Errorf(NoSuchItem, "we have no %s", item)
	}
	if count >= 3 {
		off = each * count / 10
	}
	return each * count, off, nil
}
