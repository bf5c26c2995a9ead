package main

import (
	"flag"
	"fmt"
	"strings"
	"time"
)

// A plan says what to measure, how often, and where to write the results.
type plan struct {
	settings
	systems   []system
	scenarios []scenario
	rounds    int
	out       string
}

// parsePlan reads the command line.
func parsePlan(args []string) (plan, error) {
	p := plan{settings: settings{settle: 2 * time.Second}}
	f := flag.NewFlagSet("membership", flag.ContinueOnError)
	with := f.String("systems", names(systems, system.id), "what to measure")
	what := f.String("scenarios", names(scenarios, scenario.id), "at what")
	f.IntVar(&p.nodes, "nodes", 32, "in a cluster, 3 to 256")
	f.IntVar(&p.rounds, "rounds", 3, "of everything")
	f.DurationVar(&p.quiet, "quiet", 20*time.Second, "how long nothing happens")
	f.DurationVar(&p.cut, "cut", 10*time.Second, "how long the network is cut")
	f.StringVar(&p.out, "out", ".", "folder for RESULTS.md and results.svg")
	if err := f.Parse(args); err != nil {
		return p, err
	}
	if p.nodes < 3 || p.nodes > 256 || p.rounds < 1 || f.NArg() > 0 {
		return p, fmt.Errorf("-nodes is 3 to 256, -rounds at least 1, and there is nothing but flags")
	}
	var err error
	if p.systems, err = choose(*with, systems, system.id); err != nil {
		return p, err
	}
	p.scenarios, err = choose(*what, scenarios, scenario.id)
	return p, err
}

func (s system) id() string   { return s.name }
func (s scenario) id() string { return s.name }

// names lists all for the usage text.
func names[T any](all []T, name func(T) string) string {
	var list []string
	for _, one := range all {
		list = append(list, name(one))
	}
	return strings.Join(list, ",")
}

// choose finds the named ones, in the order of all.
func choose[T any](list string, all []T, name func(T) string) (chosen []T, _ error) {
	wanted := make(map[string]bool)
	for one := range strings.SplitSeq(list, ",") {
		wanted[strings.TrimSpace(one)] = true
	}
	for _, one := range all {
		if wanted[name(one)] {
			chosen = append(chosen, one)
			delete(wanted, name(one))
		}
	}
	for one := range wanted {
		return nil, fmt.Errorf("%q is not known: -help lists what is", one)
	}
	return chosen, nil
}
