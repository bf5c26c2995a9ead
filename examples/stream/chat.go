package main

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"broach"
)

// A chat streams both ways. What is said goes in while what is answered comes out: neither waits for the end of the
// other.

// talk is the function: it answers each line when it has come.
func talk(lines iter.Seq2[string, error]) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for line, err := range lines {
			if err != nil {
				yield("", err)
				return
			}
			if line == "bye" || !yield(strings.ToUpper(line)+"?", nil) {
				return // which ends the stream, whatever else would be said
			}
		}
	}
}

func chat(node *broach.Node) {
	provider := neighbour(node)
	defer provider.Close()
	check(provider.Register("talk", talk))
	knows(node, "talk", 1)

	said := make(chan string, 1)
	lines := func(yield func(string, error) bool) {
		for line := range said {
			if !yield(line, nil) {
				return
			}
		}
	}
	rest := []string{"how are you", "bye", "anybody there"}
	said <- "hello"
	for answer, err := range broach.Stream[string](context.Background(), node.Caller("talk"), lines) {
		check(err)
		fmt.Println("chat:", answer)
		said <- rest[0] // the next line is said when the last was answered
		rest = rest[1:]
	}
	close(said)
}
