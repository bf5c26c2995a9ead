package main

import (
	"context"
	"fmt"
	"iter"
	"log"
	"os"
	"time"

	"broach"
)

// A feed yields all that has a number, from a cursor on, and goes on as long as somebody reads. Nothing resumes by
// itself: who wants to go on asks for what comes after the last number that it has seen.

// event is an item of the feed. PID shows which process it came from.
type event struct{ Number, PID int }

// since is the function: the cursor is an argument.
func since(ctx context.Context, cursor int) iter.Seq2[event, error] {
	return func(yield func(event, error) bool) {
		for n := cursor + 1; yield(event{n, os.Getpid()}, nil); n++ {
			select {
			case <-time.After(10 * time.Millisecond): // until there is news
			case <-ctx.Done(): // the reader has gone, or this node leaves
				return
			}
		}
	}
}

func provideFeed(seed string) {
	node := must(broach.Start(broach.Config{Join: []string{seed}, LogLevel: "error"}))
	check(node.Register("since", since))
	select {}
}

// feed reads 200 events. The process that they come from is killed on the way, and another goes on.
func feed(node *broach.Node) {
	providers := []interface{ Kill() error }{spawn(node).Process, spawn(node).Process}
	knows(node, "since", len(providers))
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	read := broach.Bind[func(context.Context, int) iter.Seq2[event, error]](node, "since", broach.WaitReady())
	cursor, sources, killed := 0, map[int]int{}, false
	for cursor < 200 {
		for e, err := range read(ctx, cursor) {
			if isAway(err) {
				fmt.Println("feed: after event", cursor, "comes", err)
				break // and go on after the last that has come
			}
			check(err)
			if e.Number != cursor+1 {
				log.Fatal("an event is missing, or came twice: ", e.Number)
			}
			cursor = e.Number
			sources[e.PID]++
			if cursor == 100 && !killed {
				process, _ := os.FindProcess(e.PID)
				check(process.Kill())
				killed = true
			}
			if cursor == 200 {
				break
			}
		}
	}
	for _, p := range providers {
		_ = p.Kill() // one of them is dead
	}
	fmt.Printf("feed: %d events, each once, from %d processes\n", cursor, len(sources))
}
