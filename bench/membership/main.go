// Command membership measures how broach and memberlist find, notice and heal: README.md says how and what.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "membership:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	p, err := parsePlan(args)
	if err != nil {
		return err
	}
	r, err := p.measureAll()
	if err != nil {
		return err
	}
	fmt.Print("\n", p.table(r))
	return p.write(r)
}
