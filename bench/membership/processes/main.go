// Command processes shows what real processes of broach see when one of them is killed, stopped, started anew or closed:
// ../README.md says how and what.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

func main() {
	began := time.Now()
	err := run(began, os.Args[1:])
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "processes:", err)
		os.Exit(1)
	}
}

// run is the parent, or one of the processes that it starts.
func run(began time.Time, args []string) error {
	if order := os.Getenv(birthEnv); order != "" {
		return serve(began, order)
	}
	f := flag.NewFlagSet("processes", flag.ContinueOnError)
	out := f.String("out", ".", "folder for PROCESSES.md")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return errors.New("there is nothing but flags")
	}
	s := new(stage)
	trials, err := s.playAll()
	if err := errors.Join(err, s.close()); err != nil {
		return err
	}
	fmt.Print(table(trials))
	return os.WriteFile(filepath.Join(*out, "PROCESSES.md"), []byte(results(trials, s.bystander())), 0o644)
}

// playAll lets everything happen, and shows it.
func (s *stage) playAll() (trials []trial, _ error) {
	if err := s.gather(); err != nil {
		return nil, err
	}
	for _, one := range scenarios {
		t, err := s.play(one)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", one.title, err)
		}
		fmt.Printf("%s\n\n%s\n", t.title, t.log(s.bystander()))
		trials = append(trials, t)
	}
	return trials, nil
}
