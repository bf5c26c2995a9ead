package main

import (
	"math"
	"slices"
)

// A cell is one system at one row of a scenario.
type cell struct {
	scenario string
	row      int
	system   string
}

// results holds a value for each round of each cell. Never is +Inf.
type results map[cell][]float64

// add notes what one trial gave.
func (r results) add(s scenario, with system, values []float64) {
	for i, v := range values {
		at := cell{s.name, i, with.name}
		r[at] = append(r[at], v)
	}
}

// median is the middle one, the mean of two where there is none in the middle, NaN of nothing.
func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}
