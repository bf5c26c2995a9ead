// Retry: one of three provider processes is killed under 2,000 calls a second of each of two functions. Calls of the
// idempotent one are made again elsewhere, and none fails; of the other, those that may have run fail and say so.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"sync"
	"time"

	"broach"
)

func main() {
	if len(os.Args) == 2 {
		provide(os.Args[1])
	}
	node := must(broach.Start(broach.Config{LogLevel: "error"}))
	providers := []*exec.Cmd{spawn(node), spawn(node), spawn(node)}
	must(0, node.WaitFor(context.Background(), "put", 3))
	var done sync.WaitGroup
	done.Go(func() { callOften(node.Caller("get")) })
	done.Go(func() { callOften(node.Caller("put")) })
	time.Sleep(time.Second)
	must(0, providers[1].Process.Kill())
	done.Wait()
	for _, p := range providers {
		_ = p.Process.Kill()
	}
}

// callOften makes 2,000 calls a second for 4 seconds and tells what became of them.
func callOften(c *broach.Caller) {
	var mu sync.Mutex
	var all sync.WaitGroup
	longest, failed := time.Duration(0), map[string]int{}
	for i, start := 0, time.Now(); i < 8000; i++ {
		time.Sleep(time.Until(start.Add(time.Duration(i) * 500 * time.Microsecond)))
		all.Go(func() {
			begin := time.Now()
			name, err := broach.Call[string](context.Background(), c, i)
			mu.Lock()
			defer mu.Unlock()
			longest = max(longest, time.Since(begin))
			if e, ok := errors.AsType[*broach.Error](err); ok {
				failed[fmt.Sprint(e.Code, ", executed: ", e.Executed)]++
			} else {
				must(name, err)
			}
		})
	}
	all.Wait()
	kind := must(broach.Call[string](context.Background(), c, 0))
	fmt.Printf("%s: 8000 calls, the longest %v, failed %v\n", kind, longest.Round(time.Millisecond), failed)
}

func provide(seed string) {
	node := must(broach.Start(broach.Config{Join: []string{seed}, LogLevel: "error"}))
	must(0, node.Register("get", func(int) string { time.Sleep(2 * time.Millisecond); return "idempotent" },
		broach.Idempotent()))
	must(0, node.Register("put", func(int) string { time.Sleep(2 * time.Millisecond); return "any other " }))
	select {}
}

func spawn(seed *broach.Node) *exec.Cmd {
	cmd := exec.Command(must(os.Executable()), seed.Addr().String())
	must(0, cmd.Start())
	return cmd
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}
