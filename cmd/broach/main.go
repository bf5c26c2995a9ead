// Command broach looks at a cluster of broach nodes, and calls in it, from a shell. It needs the address of one member,
// joins nothing and leaves no trace: it is a guest. docs/cli.md has its commands, field names and exit codes.
//
// It is written on the public API of package broach alone: one file is one command. What all share is in app.go
// (flags), seed.go (how it finds its cluster), output.go and table.go (what it prints), args.go, values.go and
// results.go (what JSON means), exit.go (what its exit codes say) and clean.go (that nothing a stranger named reaches
// the terminal as it is).
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process, whatever it waits for
	os.Exit(run(ctx, os.Args[1:]))
}

// run is the program, but for its process. It returns the exit code.
func run(ctx context.Context, args []string) int {
	a := &app{in: os.Stdin, out: os.Stdout, log: os.Stderr}
	root := a.root()
	root.SetArgs(guardNegatives(root, args))
	err := root.ExecuteContext(ctx)
	if ctx.Err() != nil && err != nil {
		return exitInterrupted
	}
	if err != nil && !a.hasRun {
		err = usageError{err}
	}
	a.report(err)
	return exitCode(err)
}
