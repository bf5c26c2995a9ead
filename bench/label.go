package main

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"broach/bench/internal/page"
)

// A label says how a metric is called and written.
type label struct {
	short string
	show  func(float64) string
}

var labels = [metrics]label{
	rate:     {"calls/s", page.Count},
	volume:   {"MiB/s", decimals(1)},
	p50:      {"p50", duration},
	p99:      {"p99", duration},
	p999:     {"p99.9", duration},
	cpu:      {"CPU/call", duration},
	allocs:   {"allocs/call", decimals(1)},
	failed:   {"failed", page.Count},
	repeated: {"run twice", page.Count},
}

func decimals(n int) func(float64) string {
	return func(v float64) string {
		if math.IsNaN(v) {
			return "" // not measured
		}
		return strconv.FormatFloat(v, 'f', n, 64)
	}
}

// duration writes seconds with three digits and their unit.
func duration(seconds float64) string {
	switch d := time.Duration(seconds * float64(time.Second)); {
	case math.IsNaN(seconds):
		return "" // not measured
	case d < time.Millisecond:
		return fmt.Sprintf("%.3g µs", seconds*1e6)
	case d < time.Second:
		return fmt.Sprintf("%.3g ms", seconds*1e3)
	default:
		return fmt.Sprintf("%.3g s", seconds)
	}
}
