// Command bench measures broach side by side with what a Go program would use instead. README.md says how and what.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
)

func main() {
	if err := run(); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run is the child if the environment says so.
func run() error {
	if name := os.Getenv(serveEnv); name != "" {
		return serveChild(name)
	}
	p, err := parsePlan(os.Args[1:])
	if err != nil {
		return err
	}
	r, err := p.measureAll()
	if err != nil {
		return err
	}
	fmt.Print("\n", p.tables(r))
	return p.write(r)
}
