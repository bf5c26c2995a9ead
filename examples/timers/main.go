// Timers: three nodes of this process each count for themselves, and together keep one clock: when its owner closes,
// another goes on.
package main

import (
	"fmt"
	"log"
	"sync"
	"time"

	"broach"
)

const period = 100 * time.Millisecond

var (
	mu    sync.Mutex // protects all below
	own   = map[string]int{}
	ticks []string // whose each tick of the common clock was
	at    []time.Time
)

func main() {
	nodes := map[string]*broach.Node{}
	var seed []string
	for _, name := range []string{"a", "b", "c"} {
		nodes[name] = must(broach.Start(broach.Config{Name: name, Join: seed, LogLevel: "error"}))
		defer nodes[name].Close()
		seed = []string{nodes["a"].Addr().String()}
		must(nodes[name].Every(period, func() { run(func() { own[name]++ }) }))
		must(nodes[name].Every(period, func() {
			run(func() { ticks, at = append(ticks, name), append(at, time.Now()) })
		}, broach.OneOwner("clock")))
	}
	time.Sleep(1500 * time.Millisecond)
	owner := show("the clock of all three")
	nodes[owner].Close()
	time.Sleep(1500 * time.Millisecond)
	if heir := show("without " + owner); heir == owner {
		log.Fatal("a closed node still runs the clock")
	}
	run(func() {
		fmt.Println("each for itself:", own)
		if own["a"] < 5 || own["b"] < 5 || own["c"] < 5 {
			log.Fatal("not every node ran its own timer")
		}
	})
}

func run(f func()) {
	mu.Lock()
	defer mu.Unlock()
	f()
}

// show tells who made the last eight ticks, which must be one node, and how far apart they were at most.
func show(when string) string {
	mu.Lock()
	defer mu.Unlock()
	last := len(ticks) - 1
	longest := time.Duration(0)
	for i := max(last-7, 1); i <= last; i++ {
		if ticks[i] != ticks[last] {
			log.Fatalf("%s: both %s and %s run the clock", when, ticks[i], ticks[last])
		}
		longest = max(longest, at[i].Sub(at[i-1]))
	}
	fmt.Printf("%s: %s ticks every %v, at most %v apart\n", when, ticks[last], period, longest.Round(time.Millisecond))
	return ticks[last]
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}
