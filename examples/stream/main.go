// Stream: functions that stream what they return, what they take, or both. Each of the three parts can be run alone:
// go run ./examples/stream feed
package main

import (
	"context"
	"errors"
	"log"
	"os"
	"os/exec"

	"broach"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == "provide" {
		provideFeed(os.Args[2])
	}
	node := must(broach.Start(broach.Config{LogLevel: "error"}))
	defer node.Close()
	for name, part := range map[string]func(*broach.Node){"feed": feed, "upload": upload, "chat": chat} {
		if len(os.Args) < 2 || os.Args[1] == name {
			part(node)
		}
	}
}

// spawn starts this program as a provider of the feed, which the caller finds.
func spawn(node *broach.Node) *exec.Cmd {
	cmd := exec.Command(must(os.Executable()), "provide", node.Addr().String())
	check(cmd.Start())
	return cmd
}

// neighbour is a node that knows the other.
func neighbour(node *broach.Node) *broach.Node {
	return must(broach.Start(broach.Config{Join: []string{node.Addr().String()}, LogLevel: "error"}))
}

// knows waits until a node has heard of so many providers.
func knows(node *broach.Node, name string, n int) {
	check(node.WaitFor(context.Background(), name, n))
}

// isAway reports that another provider is worth asking: this one has died, or is leaving.
func isAway(err error) bool {
	return errors.Is(err, broach.ErrUnreachable) || errors.Is(err, broach.ErrDraining)
}

func must[T any](v T, err error) T {
	check(err)
	return v
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
