package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"broach/bench/internal/page"
)

// measureAll does every job in every round.
func (p plan) measureAll(ctx context.Context) (results, error) {
	dir, err := os.MkdirTemp("", "broach-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	built, err := p.programs(ctx, dir)
	if err != nil {
		return nil, err
	}
	r := make(results)
	for round := range p.rounds {
		if err := p.measureRound(ctx, built, round, r); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (p plan) measureRound(ctx context.Context, built programs, round int, r results) error {
	jobs := p.jobs(round)
	for i, j := range jobs {
		fmt.Printf("round %d/%d  %2d/%d  %-8s %-28s", round+1, p.rounds, i+1, len(jobs), j.workload.name, j.system.name)
		got, err := j.order(p.window).carryOut(ctx, built.of(j.system, round))
		if err != nil {
			return fmt.Errorf("%s at %s: %w", j.system.name, j.workload.name, err)
		}
		fmt.Println(got)
		at := cell{j.workload.name, j.system.name}
		r[at] = append(r[at], got.Result)
	}
	return nil
}

// order is the job as the program of its side understands it.
func (j job) order(window time.Duration) order {
	return order{plainName(j.system.name), j.workload.name, window, j.system.gogc}
}

// String says how it went.
func (o outcome) String() string {
	r := o.Result
	text := fmt.Sprintf("%9s calls/s   p99 %-8s  failed %s", page.Count(r[rate]), duration(r[p99]),
		page.Count(r[failed]))
	if o.Lost != "" {
		text += " (" + o.Lost + ")"
	}
	return text
}
