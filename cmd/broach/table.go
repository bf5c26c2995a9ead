package main

import (
	"strings"

	"github.com/mattn/go-runewidth"
)

// table prints rows in columns, counted in the cells of a terminal: a Chinese name takes two for each character.
type table struct {
	columns  []column
	rows     [][]string
	wide     bool
	width    int // of the terminal; 0: no limit
	hasColor bool
}

// columnGap stands between two columns.
const columnGap = "  "

func (t *table) String() string {
	t.dropWide()
	widths := t.widths()
	var b strings.Builder
	head := make([]string, len(t.columns))
	for i, c := range t.columns {
		head[i] = c.name
	}
	t.writeRow(&b, widths, head, false)
	for _, row := range t.rows {
		t.writeRow(&b, widths, row, t.hasColor)
	}
	return b.String()
}

// dropWide leaves out columns that nobody has asked for.
func (t *table) dropWide() {
	if t.wide {
		return
	}
	keep := func(cells []string) (kept []string) {
		for i, cell := range cells {
			if !t.columns[i].wide {
				kept = append(kept, cell)
			}
		}
		return kept
	}
	rows := make([][]string, len(t.rows))
	for i, row := range t.rows {
		rows[i] = keep(row)
	}
	var columns []column
	for _, c := range t.columns {
		if !c.wide {
			columns = append(columns, c)
		}
	}
	t.rows, t.columns = rows, columns
}

// widths are those of the columns. Where the terminal is too narrow the last column gives way, down to a few cells.
func (t *table) widths() []int {
	widths := make([]int, len(t.columns))
	total := len(columnGap) * (len(t.columns) - 1)
	for i, c := range t.columns {
		widths[i] = runewidth.StringWidth(c.name)
		for _, row := range t.rows {
			widths[i] = max(widths[i], runewidth.StringWidth(row[i]))
		}
		total += widths[i]
	}
	last := len(widths) - 1
	if t.width > 0 && total > t.width && last >= 0 {
		widths[last] = max(widths[last]-(total-t.width), min(8, widths[last]))
	}
	return widths
}

func (t *table) writeRow(b *strings.Builder, widths []int, cells []string, hasColor bool) {
	var line strings.Builder
	for i, cell := range cells {
		cell = runewidth.Truncate(cell, widths[i], "…")
		gap := ""
		if i < len(cells)-1 {
			gap = strings.Repeat(" ", widths[i]-runewidth.StringWidth(cell)) + columnGap
		}
		if hasColor {
			cell = colored(cell)
		}
		line.WriteString(cell + gap)
	}
	b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
}

// colors are of words that say how things stand. The word is always there, too.
var colors = map[string]string{
	"alive": "32", "suspect": "33", "unsteady": "33", "draining": "33", "unreachable": "31", "offline": "31",
	"left": "90", "ok": "32", "warn": "33", "fail": "31",
}

// colored colours a cell by its last word.
func colored(cell string) string {
	word := cell[strings.LastIndexByte(cell, ' ')+1:]
	if code := colors[word]; code != "" {
		return "\x1b[" + code + "m" + cell + "\x1b[0m"
	}
	return cell
}
