package main

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"

	"broach/bench/internal/checkout"
)

// A plan says what to measure, for how long, and where to write the results.
type plan struct {
	systems   []system
	workloads []workload
	window    time.Duration
	rounds    int
	pair      checkout.Pair // now, and what it is measured beside
	layouts   int           // of each side, that the rounds go through; 0: that of the linker
	gogc      int           // of the second table; 0: there is none
	out       string
}

// parsePlan reads the command line.
func parsePlan(args []string) (plan, error) {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	chosen := f.String("systems", names(systems, system.id), "what to measure")
	work := f.String("workloads", names(workloads, workload.id), "at what work")
	seconds := f.Float64("seconds", 0.8, "of each measurement, 0.05 to 60")
	rounds := f.Int("rounds", 3, "of everything; the results are medians")
	before := f.String("before", "", "folder of another checkout of broach, to measure beside this one")
	layouts := f.Int("layouts", 0,
		"random orders of its functions in which each program is linked, for the rounds to go through")
	gogc := f.Int("gogc", 400, "measure every system with this GOGC, too; 0: with Go's own alone")
	out := f.String("out", ".", "folder for RESULTS.md and results.svg")
	if err := f.Parse(args); err != nil {
		return plan{}, err
	}
	p := plan{window: time.Duration(*seconds * float64(time.Second)), rounds: *rounds, layouts: *layouts, gogc: *gogc,
		out: *out}
	if *seconds < 0.05 || *seconds > 60 || *rounds < 1 || *layouts < 0 || *gogc < 0 || f.NArg() > 0 {
		return p, fmt.Errorf(
			"-seconds is 0.05 to 60, -rounds at least 1, -layouts and -gogc at least 0, and there is nothing but flags",
		)
	}
	var err error
	if p.systems, err = choose(*chosen, systemNamed); err != nil {
		return p, err
	}
	p.systems = withHeaps(p.systems, p.gogc)
	if p.pair, err = checkout.NewPair(*before); err != nil {
		return p, err
	}
	if p.pair.Dir != "" {
		p.systems = withPast(p.systems)
	}
	p.workloads, err = choose(*work, workloadNamed)
	return p, err
}

func (s system) id() string   { return s.name }
func (w workload) id() string { return w.name }

// names lists all for the usage text.
func names[T any](all []T, name func(T) string) string {
	var list []string
	for _, one := range all {
		list = append(list, name(one))
	}
	return strings.Join(list, ",")
}

// choose finds the named ones.
func choose[T any](list string, named func(string) (T, bool)) (chosen []T, _ error) {
	for name := range strings.SplitSeq(list, ",") {
		one, ok := named(strings.TrimSpace(name))
		if !ok {
			return nil, fmt.Errorf("%q is not known: -help lists what is", name)
		}
		chosen = append(chosen, one)
	}
	return chosen, nil
}

// job is one measurement of each round.
type job struct {
	workload workload
	system   system
}

// jobs puts the systems of one workload side by side, so that a busy moment of the machine meets them all. Every other
// round has them in the opposite order: none profits from its neighbours.
func (p plan) jobs(round int) (all []job) {
	row := slices.Clone(p.systems)
	if round%2 == 1 {
		slices.Reverse(row)
	}
	for _, w := range p.workloads {
		for _, s := range row {
			if w.runsOn(s) {
				all = append(all, job{w, s})
			}
		}
	}
	return all
}
