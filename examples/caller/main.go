// Caller calls the functions of examples/provider, then asks for far more than the sample's 15 workers can do: 500
// calls of a function that takes 3 seconds, from 50 goroutines. Run it beside a provider, from the top of the
// repository:
//
//	go run ./examples/caller testdata/application2.json
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"broach"

	"golang.org/x/sync/errgroup"
)

func main() {
	path := "testdata/application2.json"
	if len(os.Args) > 1 {
		path = os.Args[1]
	}
	node, err := broach.Run(path)
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()
	ctx := context.Background()
	if err := node.WaitFor(ctx, "work05", 1); err != nil {
		log.Fatal(err)
	}
	show := func(name string, args ...any) {
		v, err := node.Caller(name).Call(ctx, args...)
		fmt.Printf("%s%v = %#v, %v\n", name, args, v, err)
	}
	show("work00")
	show("work01", 1, 2)
	show("work06", "quick")
	show("work06", "")
	show("work07", "a", "b", "a")

	start := time.Now()
	fmt.Println("500 calls of work05, 3 s each, from 50 goroutines:", flood(ctx, node))
	fmt.Printf("took %v; afterwards:\n", time.Since(start).Round(time.Second))
	start = time.Now()
	show("work01", 3, 4)
	fmt.Printf("answered after %v\n", time.Since(start).Round(time.Millisecond))
	show("work05 report")
}

// flood makes the calls and counts how they ended.
func flood(ctx context.Context, node *broach.Node) map[string]int {
	outcomes := make(chan string, 500)
	var callers errgroup.Group
	callers.SetLimit(50)
	for i := range 500 {
		callers.Go(func() error {
			_, err := node.Caller("work05").Call(ctx, i)
			var failed *broach.Error
			switch {
			case err == nil:
				outcomes <- "done"
			case errors.As(err, &failed):
				outcomes <- fmt.Sprintf("%v (executed: %v)", failed.Code, failed.Executed)
			}
			return nil
		})
	}
	_ = callers.Wait()
	close(outcomes)
	count := map[string]int{}
	for o := range outcomes {
		count[o]++
	}
	return count
}
