package main

import (
	"flag"
	"fmt"
	"strings"
	"time"

	"broach/bench/internal/page"
)

// A plan says what to measure, for how long, and where to write the results.
type plan struct {
	systems   []system
	workloads []workload
	window    time.Duration
	rounds    int
	out       string
}

// parsePlan reads the command line.
func parsePlan(args []string) (plan, error) {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	chosen := f.String("systems", names(systems, system.id), "what to measure")
	work := f.String("workloads", names(workloads, workload.id), "at what work")
	seconds := f.Float64("seconds", 0.8, "of each measurement, 0.05 to 60")
	rounds := f.Int("rounds", 3, "of everything; the results are medians")
	out := f.String("out", ".", "folder for RESULTS.md and results.svg")
	if err := f.Parse(args); err != nil {
		return plan{}, err
	}
	p := plan{window: time.Duration(*seconds * float64(time.Second)), rounds: *rounds, out: *out}
	if *seconds < 0.05 || *seconds > 60 || *rounds < 1 || f.NArg() > 0 {
		return p, fmt.Errorf("-seconds is 0.05 to 60, -rounds at least 1, and there is nothing but flags")
	}
	var err error
	if p.systems, err = choose(*chosen, systemNamed); err != nil {
		return p, err
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

// jobs puts the systems of one workload side by side, so that a busy moment of the machine meets them all.
func (p plan) jobs() (all []job) {
	for _, w := range p.workloads {
		for _, s := range p.systems {
			if w.runsOn(s) {
				all = append(all, job{w, s})
			}
		}
	}
	return all
}

// measureAll does every job in every round.
func (p plan) measureAll() (results, error) {
	r := make(results)
	jobs := p.jobs()
	for round := range p.rounds {
		for i, j := range jobs {
			fmt.Printf("round %d/%d  %2d/%d  %-8s %-14s", round+1, p.rounds, i+1, len(jobs), j.workload.name, j.system.name)
			one, err := measure(j.system, j.workload, p.window)
			if err != nil {
				return nil, fmt.Errorf("%s at %s: %w", j.system.name, j.workload.name, err)
			}
			fmt.Printf("%9s calls/s   p99 %-8s  failed %s\n", page.Count(one[rate]), duration(one[p99]), page.Count(one[failed]))
			at := cell{j.workload.name, j.system.name}
			r[at] = append(r[at], one)
		}
	}
	return r, nil
}
