package main

import (
	"fmt"

	"golang.org/x/sync/errgroup"
)

// measureAll does every scenario in every round. The systems follow one another at each scenario, or do it at the same
// time, so that a busy moment of the machine meets them all.
func (p plan) measureAll() (results, error) {
	r := make(results)
	for round := range p.rounds {
		for _, s := range p.scenarios {
			values, err := p.measure(s, uint64(round))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", s.name, err)
			}
			for i, with := range p.systems {
				r.add(s, with, values[i])
				fmt.Printf("round %d/%d  %-8s %-15s%s\n", round+1, p.rounds, s.name, with.title, s.line(values[i]))
			}
		}
	}
	return r, nil
}

// measure tries a scenario once with each system.
func (p plan) measure(s scenario, seed uint64) ([][]float64, error) {
	values := make([][]float64, len(p.systems))
	var group errgroup.Group
	if !s.together {
		group.SetLimit(1)
	}
	for i, with := range p.systems {
		group.Go(func() (err error) {
			if values[i], err = p.try(s, with, seed); err != nil {
				err = fmt.Errorf("%s: %w", with.title, err)
			}
			return err
		})
	}
	return values, group.Wait()
}

// line is what the progress shows of a trial.
func (s scenario) line(values []float64) (text string) {
	for i, v := range values {
		text += fmt.Sprintf("%16s", s.rows[i].show(v))
	}
	return text
}
