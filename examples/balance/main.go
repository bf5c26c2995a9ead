// Balance: five ways to choose who gets a call. Four nodes of this process offer a function; one is slow, one has twice
// the weight.
package main

import (
	"context"
	"fmt"
	"log"
	"sync"
	"time"

	"broach"
)

func main() {
	caller := start(broach.Config{})
	defer caller.Close()
	for i := range 4 {
		node := start(broach.Config{Join: []string{caller.Addr().String()}})
		defer node.Close()
		name, took, weight := string(rune('a'+i)), 100*time.Microsecond, 100
		switch i {
		case 2:
			weight = 200
		case 3:
			took = 5 * time.Millisecond
		}
		must(node.Register("who", func() string { time.Sleep(took); return name }, broach.Weight(weight)))
	}
	must(caller.WaitFor(context.Background(), "who", 4))
	fmt.Println("d takes fifty times as long, c has twice the weight; 1000 calls, answered by")
	show("LeastLoaded", caller.Caller("who"))
	show("RoundRobin", caller.Caller("who", broach.Balance(broach.RoundRobin())))
	show("Random", caller.Caller("who", broach.Balance(broach.Random())))
	show("Weighted", caller.Caller("who", broach.Balance(broach.Weighted())))
	show("Key(\"x\")", caller.Caller("who", broach.Key("x")))
	show("one's own", caller.Caller("who", broach.Balance(lastOne{})))
}

// lastOne is a Balancer: it takes the provider with the highest address.
type lastOne struct{}

func (lastOne) Pick(_ broach.CallInfo, from []broach.Provider) int { return len(from) - 1 }

// show makes calls, eight at a time, and tells who answered.
func show(strategy string, who *broach.Caller) {
	var mu sync.Mutex
	answers := map[string]int{}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 125 {
				name, err := broach.Call[string](context.Background(), who)
				must(err)
				mu.Lock()
				answers[name]++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	fmt.Printf("%-12s %v\n", strategy, answers)
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
