// Rolling: three processes are stopped and started anew, one after the other, while a fourth calls them. No call fails.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"broach"
)

func main() {
	if len(os.Args) == 2 {
		provide(os.Args[1])
		return
	}
	node := must(broach.Start(broach.Config{Name: "caller", LogLevel: "error"}))
	defer node.Close()
	providers := []*exec.Cmd{spawn(node), spawn(node), spawn(node)}
	must(0, node.WaitFor(context.Background(), "add", 3))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan string)
	go func() {
		calls, failed := 0, 0
		for ; ctx.Err() == nil; calls++ {
			if _, err := node.Caller("add").Call(context.Background(), 1, 2); err != nil {
				fmt.Println(err)
				failed++
			}
		}
		done <- fmt.Sprintf("%d calls, %d failed", calls, failed)
	}()
	for i, old := range providers {
		stop(old)
		providers[i] = spawn(node)
		must(0, node.WaitFor(context.Background(), "add", 3))
		fmt.Println(i+1, "of 3 started anew")
		time.Sleep(300 * time.Millisecond)
	}
	cancel()
	fmt.Println(<-done)
	for _, p := range providers {
		stop(p)
	}
}

// provide is a whole provider. On SIGTERM it sees its callers off before it ends.
func provide(seed string) {
	term, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	node := must(broach.Start(broach.Config{Name: "provider", Join: []string{seed}, LogLevel: "error"}))
	must(0, node.Register("add", func(x, y int) int { return x + y }))
	<-term.Done()
	must(0, node.Leave(context.Background()))
}

// spawn starts this program again as a provider.
func spawn(seed *broach.Node) *exec.Cmd {
	cmd := exec.Command(must(os.Executable()), seed.Addr().String())
	must(0, cmd.Start())
	return cmd
}

func stop(p *exec.Cmd) {
	must(0, p.Process.Signal(syscall.SIGTERM))
	must(0, p.Wait())
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}
