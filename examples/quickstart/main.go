// Quickstart: three processes find each other from one address, call each other, and survive the death of one.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"time"

	"broach"
)

func main() {
	if len(os.Args) == 3 {
		provide(os.Args[1], os.Args[2])
		return
	}
	node := must(broach.Start(broach.Config{Name: "caller", LogLevel: "error"}))
	defer node.Close()
	one, _ := spawn("one", node), spawn("two", node)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	must(0, node.WaitFor(ctx, "greet", 2))
	for _, m := range node.Members() {
		fmt.Printf("member %-7s %v %v\n", m.Name, m.Addr, m.State)
	}
	greet := broach.Bind[func(context.Context) (string, error)](node, "greet")
	count := func(calls int) map[string]int {
		answers := map[string]int{}
		for range calls {
			who, err := greet(ctx)
			if failed, ok := errors.AsType[*broach.Error](err); ok {
				who = fmt.Sprintf("%v, executed: %v", failed.Code, failed.Executed)
			}
			answers[who]++
		}
		return answers
	}
	fmt.Println("1000 calls, answered by     ", count(1000))
	_, err := node.Caller("fail").Call(ctx)
	fmt.Println("an error comes back as one: ", err)
	sent, start := bytes.Repeat([]byte("broach!\n"), 1<<17), time.Now()
	equal := bytes.Equal(sent, must(broach.Call[[]byte](ctx, node.Caller("echo"), sent)))
	fmt.Printf("1 MiB there and back         equal: %v, %v\n", equal, time.Since(start).Round(time.Millisecond))
	must(0, one.Kill())
	fmt.Println("one is killed, 1000 calls:  ", count(1000))
	fmt.Println("and 1000 more:              ", count(1000))
}

// provide is a whole provider. It ends when it hears that the caller has.
func provide(name, seed string) {
	node := must(broach.Start(broach.Config{Name: name, Join: []string{seed}, LogLevel: "error"}))
	must(0, node.Register("greet", func() string { return name }))
	must(0, node.Register("echo", func(b []byte) []byte { return b }))
	must(0, node.Register("fail", func() error { return errors.New("no luck today") }))
	for e := range node.Watch(context.Background()) {
		if e.Member.Name == "caller" && e.Member.State >= broach.Offline {
			return
		}
	}
}

// spawn starts this program again as a provider.
func spawn(name string, seed *broach.Node) *os.Process {
	cmd := exec.Command(must(os.Executable()), name, seed.Addr().String())
	must(0, cmd.Start())
	return cmd.Process
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}
