// Events: a shop tells who sells something. Two applications of two instances each have subscribed, and a display on
// every instance.
package main

import (
	"context"
	"fmt"
	"log"
	"sync"
	"time"

	"broach"
)

const orders = 100

type order struct{ ID int } // what the event says

func main() {
	shop := start(broach.Config{Name: "shop"})
	defer shop.Close()
	handled := map[string]int{}
	var mu sync.Mutex
	var all sync.WaitGroup
	count := func(who ...string) {
		mu.Lock()
		defer mu.Unlock()
		for _, w := range who {
			handled[w]++
		}
		all.Done()
	}
	all.Add(orders * (2 + 4)) // each application, and each instance
	for i, name := range []string{"stock", "stock", "mail", "mail"} {
		node := start(broach.Config{Name: name, Join: []string{shop.Addr().String()}})
		defer node.Close()
		who := fmt.Sprint(name, " ", i%2)
		subscribe(node, func(order) { count(name+" together", who) })
		subscribe(node, func(order) { count("display of " + who) }, broach.EachInstance())
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	must(shop.WaitForSubscribers(ctx, "sold", 4)) // who is known to have subscribed
	for id := range orders {
		delivery, err := shop.Publish(ctx, "sold", order{id})
		must(err)
		if len(delivery.Nodes) != 4 {
			log.Fatalf("order %d went to %v", id, delivery.Nodes)
		}
	}
	time.AfterFunc(10*time.Second, func() { log.Fatal("an event was lost") })
	all.Wait()
	for _, who := range []string{
		"stock 0", "stock 1", "stock together", "mail 0", "mail 1", "mail together", "display of mail 1",
	} {
		fmt.Printf("%-20s handled %3d of %d events\n", who, handled[who], orders)
	}
	delivery, err := shop.Publish(ctx, "nobody wants to know", 1)
	fmt.Println("without subscribers:", len(delivery.Nodes), "nodes, error", err)
	if handled["stock together"] != orders || handled["display of mail 1"] != orders {
		log.Fatal("an event came twice")
	}
}

func subscribe(node *broach.Node, fn any, opts ...broach.SubscribeOption) {
	_, err := node.Subscribe("sold", fn, opts...)
	must(err)
}

func start(cfg broach.Config) *broach.Node {
	cfg.LogLevel = "error"
	node, err := broach.Start(cfg)
	must(err)
	return node
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
