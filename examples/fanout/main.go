// Fanout: the ways to make more than one call, or to wait for none. Four nodes of this process offer a function; one of
// them is slow.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"broach"
)

func main() {
	ctx := context.Background()
	caller := start(broach.Config{})
	defer caller.Close()
	for i := range 4 {
		node := start(broach.Config{Join: []string{caller.Addr().String()}})
		defer node.Close()
		must(node.Register("flush", func(cache string) (string, error) {
			switch i {
			case 2:
				return "", errors.New("the disk is full")
			case 3:
				time.Sleep(300 * time.Millisecond)
			}
			return fmt.Sprint("node ", i, " has flushed ", cache), nil
		}))
	}
	must(caller.WaitFor(ctx, "flush", 4))
	flush := caller.Caller("flush")
	begin := time.Now()
	since := func() time.Duration { return time.Since(begin).Round(100 * time.Millisecond) }

	fmt.Println("every provider, as they answer:")
	for r := range flush.All(ctx, "prices") {
		fmt.Println("  after", since(), r.Value, r.Err)
	}

	fmt.Println("three calls at the same time, as Futures, in their order:")
	var futures []*broach.Future[string]
	for _, node := range caller.Services()[0].Providers[:3] {
		futures = append(futures, broach.Go[string](ctx, flush.With(broach.On(node)), "orders"))
	}
	begin = time.Now()
	for _, f := range futures {
		text, err := f.Wait()
		fmt.Println("  after", since(), text, err)
	}

	begin = time.Now()
	for range 10 {
		must(flush.Send(ctx, "users"))
	}
	fmt.Println("ten were sent and accepted after", since(), "and run when they run")
}

func start(cfg broach.Config) *broach.Node {
	cfg.LogLevel = "off"
	node, err := broach.Start(cfg)
	must(err)
	return node
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
