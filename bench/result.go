package main

import (
	"math"
	"slices"
)

// A metric is one thing that is measured.
type metric int

const (
	rate     metric = iota // calls answered in a second
	volume                 // MiB of payload in a second, each byte counted once
	p50                    // seconds that a call takes, as all times here
	p99                    // likewise
	p999                   // likewise
	cpu                    // processor time for a call, both processes together
	allocs                 // for a call, both processes together
	failed                 // calls without an answer
	repeated               // executions of a call that had run before

	metrics // how many there are
)

// A result is what one measurement gave. What was not measured is NaN.
type result [metrics]float64

// median takes the median of each metric, except that failures of all rounds count.
func median(rounds []result) (m result) {
	for i := range metrics {
		var values []float64
		for _, r := range rounds {
			values = append(values, r[i])
		}
		if i == failed || i == repeated {
			m[i] = total(values)
		} else {
			m[i] = middle(values)
		}
	}
	return m
}

func total(values []float64) (sum float64) {
	for _, v := range values {
		sum += v
	}
	return sum
}

// middle is the median, the mean of two where there is no one in the middle, NaN of nothing.
func middle(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	slices.Sort(values)
	half := len(values) / 2
	if len(values)%2 == 1 {
		return values[half]
	}
	return (values[half-1] + values[half]) / 2
}

// A cell is one system at one workload.
type cell struct{ workload, system string }

// results holds the rounds of each cell.
type results map[cell][]result

// median is that of a cell's rounds; false if it was not measured.
func (r results) median(c cell) (result, bool) {
	rounds := r[c]
	return median(rounds), len(rounds) > 0
}

// ratio is how many times the value of b that of a is; false if one of them was not measured.
func (r results) ratio(m metric, a, b cell) (float64, bool) {
	x, xok := r.median(a)
	y, yok := r.median(b)
	return x[m] / y[m], xok && yok
}
