// Package page writes what the pages of results are made of.
package page

import (
	"strings"
	"unicode/utf8"
)

// Table draws a Markdown table whose columns are aligned in the source too: what is printed and what is written are the
// same.
func Table(head []string, rows [][]string) string {
	widths := make([]int, len(head))
	for _, row := range append([][]string{head}, rows...) {
		for i, s := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(s))
		}
	}
	var b strings.Builder
	line(&b, head, widths)
	b.WriteString("|")
	for i, w := range widths {
		b.WriteString(" " + rule(i, w) + " |")
	}
	b.WriteString("\n")
	for _, row := range rows {
		line(&b, row, widths)
	}
	return b.String()
}

// rule is the part of the line under the heading that says how a column is aligned: the first left, the others right.
func rule(column, width int) string {
	if column == 0 {
		return strings.Repeat("-", width)
	}
	return strings.Repeat("-", max(width-1, 1)) + ":"
}

// line draws one row.
func line(b *strings.Builder, row []string, widths []int) {
	b.WriteString("|")
	for i, s := range row {
		pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(s))
		if i == 0 {
			b.WriteString(" " + s + pad + " |")
		} else {
			b.WriteString(" " + pad + s + " |")
		}
	}
	b.WriteString("\n")
}
