package main

import (
	"strings"

	"github.com/mattn/go-runewidth"
)

// onScreen draws a text over what is there, without a flicker: line by line, and erases what was longer before.
func onScreen(text string) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	return toCorner + strings.Join(lines, eraseLine+"\r\n") + eraseLine + eraseRest
}

// fit cuts lines to the width of the terminal.
func fit(text string, width int) string {
	if width == 0 {
		return text
	}
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = runewidth.Truncate(lines[i], width, "…")
	}
	return strings.Join(lines, "\n")
}

// topItem is a function in JSON.
type topItem struct {
	Function        string  `json:"function"`
	CallsPerSecond  float64 `json:"calls_per_second"`
	ErrorsPerSecond float64 `json:"errors_per_second"`
	P50             seconds `json:"p50"`
	P99             seconds `json:"p99"`
	WaitP99         seconds `json:"wait_p99"`
	Running         int     `json:"running"`
}

// emitTop prints functions for programs.
func (a *app) emitTop(l *load) error {
	list := listing{columns: columnsOf("FUNCTION", "CALLS_PER_SECOND", "ERRORS_PER_SECOND", "P50", "P99", "WAIT_P99",
		"RUNNING")}
	for _, f := range l.functions() {
		item := topItem{f.name, f.calls, f.errors, seconds(quantile(f.latency, 0.5)),
			seconds(quantile(f.latency, 0.99)), seconds(quantile(f.waiting, 0.99)), f.running}
		list.add(item, f.name, number(f.calls), number(f.errors), item.P50.String(), item.P99.String(),
			item.WaitP99.String(), number(float64(f.running)))
	}
	return a.emit(list, true)
}
