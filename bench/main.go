// Command bench measures broach side by side with what a Go program would use instead. README.md says how and what.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	if err := run(); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run is one of the processes that this program starts, if the environment says so.
func run() error {
	if part := partOfChild(); part != nil {
		return part()
	}
	p, err := parsePlan(os.Args[1:])
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r, err := p.measureAll(ctx)
	if err != nil {
		return err
	}
	fmt.Print("\n", p.tables(r))
	return p.write(r)
}

// partOfChild is what this process shall do for the one that started it; nil if none did. A server's environment has
// the order of its parent too.
func partOfChild() func() error {
	if name := os.Getenv(serveEnv); name != "" {
		return func() error { return serveChild(name) }
	}
	if text := os.Getenv(orderEnv); text != "" {
		return func() error { return obey(text) }
	}
	return nil
}
