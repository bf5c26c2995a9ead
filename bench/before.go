package main

import (
	"fmt"
	"math"
	"slices"

	"broach/bench/internal/page"
)

// beforeSuffix is behind the name of a system that runs in the other checkout.
const beforeSuffix = "-before"

// past is the system as it was in the other checkout.
func (s system) past() system {
	s.name += beforeSuffix
	s.title += ", before"
	s.before = true
	return s
}

// withPast puts each broach of the list beside what it was before.
func withPast(list []system) (all []system) {
	for _, s := range list {
		all = append(all, s)
		if s.broach {
			all = append(all, s.past())
		}
	}
	return all
}

// versus are the metrics that are compared with those of before.
var versus = []metric{rate, volume, p50, p99, cpu, allocs}

// versusTable compares now with before; "" if there is no before.
func (p plan) versusTable(r results) string {
	var rows [][]string
	for _, j := range p.jobs(0) {
		if row := r.versus(j); row != nil {
			rows = append(rows, row)
		}
	}
	if rows == nil {
		return ""
	}
	head := []string{"now / before"}
	for _, m := range versus {
		head = append(head, labels[m].short)
	}
	return "## Now and before\n\nMedian, lowest and highest of the ratios of each round.\n\n" + page.Table(head, rows) +
		"\n"
}

// versus is the row of a system that has a before.
func (r results) versus(j job) []string {
	row := []string{j.workload.name + ", " + j.system.name}
	for _, m := range versus {
		list := r.ratios(m, j)
		if list == nil {
			return nil
		}
		row = append(row, spread(list))
	}
	return row
}

// ratios are those of now and before in each round, which were measured one after the other.
func (r results) ratios(m metric, j job) (list []float64) {
	now := r[cell{j.workload.name, j.system.name}]
	before := r[cell{j.workload.name, j.system.past().name}]
	for i := range min(len(now), len(before)) {
		list = append(list, now[i][m]/before[i][m])
	}
	return list
}

// spread writes the median of ratios, and how far they lie apart.
func spread(list []float64) string {
	median := middle(list)
	if math.IsNaN(median) {
		return "" // not measured, or nothing of nothing
	}
	return fmt.Sprintf("%.2f x (%.2f to %.2f)", median, slices.Min(list), slices.Max(list))
}
