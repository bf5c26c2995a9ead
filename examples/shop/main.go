// Shop: four services that call each other, each in processes of its own, and tills that place orders while all
// processes are replaced one by one and three are killed. No order fails, none is booked twice, each is told of once.
//
//	go run ./examples/shop
//
// starts everything. A service is a file: pricing.go, inventory.go, orders.go, notifications.go. The tills are in
// caller.go, what stands for a database is in store.go, processes.go starts and ends processes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"broach"
)

// App is the section of shop.json that is the shop's own.
type App struct {
	Tills         int
	OrdersASecond int            // of all tills
	Cents         map[string]int // that a piece costs
	Shelf         map[string]int // pieces that there are
}

// services are what a process can be: that which has its name.
var services = map[string]func(n *broach.Node, app App) error{
	"pricing": servePricing, "inventory": serveInventory, "orders": serveOrders, "notifications": serveNotifications,
}

func main() {
	file := flag.String("config", "examples/shop/shop.json", "the configuration of all processes")
	flag.Parse()
	if err := run(*file); err != nil {
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(1)
	}
}

// run is any process of the shop. In what it differs from the others the environment says: BROACH_NAME, BROACH_SEEDS.
func run(file string) error {
	term, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	cfg, err := broach.LoadConfig(file)
	if err != nil {
		return err
	}
	var app App
	if err := cfg.App(&app); err != nil {
		return err
	}
	if serve := services[cfg.Name]; serve != nil {
		go func() { defer stop(); _, _ = io.Copy(io.Discard, os.Stdin) }() // until whoever started this one ends
		return provide(term, cfg, app, serve)
	}
	return trade(term, cfg, app, file)
}

// provide offers a service until the process is told to end, and then sees its callers off.
func provide(term context.Context, cfg broach.Config, app App, serve func(*broach.Node, App) error) error {
	node, err := broach.Start(cfg)
	if err != nil {
		return err
	}
	defer node.Close()
	if err := serve(node, app); err != nil {
		return err
	}
	if err := broach.RegisterFunc(node, os.Getpid); err != nil { // at last: who finds it finds the service, too
		return err
	}
	<-term.Done()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return node.Leave(ctx)
}

// trade is the process that is started by hand. It has the database and the tills, and starts all others.
func trade(term context.Context, cfg broach.Config, app App, file string) (err error) {
	var again retries
	cfg.Tracer = &again
	node, err := broach.Start(cfg)
	if err != nil {
		return err
	}
	defer node.Close()
	store, err := serveStore(node, app)
	if err != nil {
		return err
	}
	p := &processes{ctx: term, node: node, file: file, began: time.Now()}
	defer func() { err = errors.Join(err, p.endAll()) }()
	if err := p.startAll(); err != nil {
		return err
	}
	t := newTills(node)
	closing := t.open(term, app)
	err = p.trouble()
	closing()
	if err != nil {
		return err
	}
	fmt.Println("calls of the tills that were made again at another process:", again.count.Load())
	store.awaitMails(5 * time.Second)
	return account(t, store)
}
