// Provider offers the functions that examples/caller calls. Run, from the top of the repository:
//
//	go run ./examples/provider testdata/application.json
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"time"

	"broach"
)

func main() {
	path := "testdata/application.json"
	if len(os.Args) > 1 {
		path = os.Args[1]
	}
	node, err := broach.Run(path)
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()

	var ran, gone atomic.Int64
	functions := map[string]any{
		"work00": func() string { return node.Addr().String() },
		"work01": func(x, y int) int { return x + y },
		"work05": func(ctx context.Context, id int) (string, error) { // slow, and stops when nobody waits any more
			ran.Add(1)
			if ctx.Err() != nil {
				gone.Add(1)
			}
			select {
			case <-time.After(3 * time.Second):
				return fmt.Sprintf("work05 %d done", id), nil
			case <-ctx.Done():
				return "", ctx.Err()
			}
		},
		"work06": func(text string) (string, error) {
			if text == "" {
				return "", errors.New("work06 needs a text")
			}
			return strings.ToUpper(text), nil
		},
		"work07": func(words ...string) map[string]int {
			count := map[string]int{}
			for _, w := range words {
				count[w]++
			}
			return count
		},
		"work05 report": func() (began, withoutCaller int64) { return ran.Load(), gone.Load() },
	}
	for name, fn := range functions {
		if err := node.Register(name, fn); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println("serving at", node.Addr(), "- Ctrl-C ends")
	interrupt, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	<-interrupt.Done()
}
