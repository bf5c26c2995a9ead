// Command processes shows what real processes of broach see when one of them is killed, stopped, started anew or
// closed: ../README.md says how and what.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"broach/bench/internal/checkout"
)

func main() {
	began := time.Now()
	if err := run(began, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "processes:", err)
		os.Exit(1)
	}
}

// run is the parent, or one of the processes that it starts. Those of a stage have the environment of their side too.
func run(began time.Time, args []string) error {
	if order := os.Getenv(birthEnv); order != "" {
		return serve(began, order)
	}
	if os.Getenv(sideEnv) != "" {
		return playSide()
	}
	f := flag.NewFlagSet("processes", flag.ContinueOnError)
	before := f.String("before", "", "folder of another checkout of broach, to show after this one")
	out := f.String("out", ".", "folder for PROCESSES.md")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return errors.New("there is nothing but flags")
	}
	pair, err := checkout.NewPair(*before)
	if err != nil {
		return err
	}
	sides, err := playSides(pair)
	if err != nil {
		return err
	}
	fmt.Print(table(sides))
	return os.WriteFile(filepath.Join(*out, "PROCESSES.md"), []byte(results(sides, pair)), 0o644)
}

// playSides lets everything happen on one side after the other.
func playSides(pair checkout.Pair) ([]*side, error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, err := os.MkdirTemp("", "broach-processes-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	sides, err := newSides(ctx, dir, pair)
	if err != nil {
		return nil, err
	}
	for _, s := range sides {
		if err := s.play(ctx); err != nil {
			return nil, err
		}
	}
	return sides, nil
}
