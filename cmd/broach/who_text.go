package main

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// text is the matrix for people: troubles, then a row for each member. Columns are the numbers of the rows. Where they
// are too many for the terminal, a cell is one letter, and where even these are too many, only troubles are shown.
func (m *matrix) text(width int, hasColor bool) string {
	var b strings.Builder
	troubles := m.troubles()
	for _, line := range troubles {
		b.WriteString("! " + clean(line) + "\n")
	}
	if len(troubles) == 0 {
		b.WriteString(m.agreement() + "\n")
	}
	if len(m.offline) > 0 {
		b.WriteString(m.away() + "\n")
	}
	for _, cell := range []func(by, of netip.AddrPort) string{m.cell, m.letter} {
		t := m.table(cell)
		t.hasColor = hasColor
		if width == 0 || t.needs() <= width {
			b.WriteString("\n" + t.String())
			return b.String() + m.legend(cell(m.addrs[0], m.addrs[0]))
		}
	}
	b.WriteString("\nthe terminal is too narrow for a row of all: see -o csv\n")
	return b.String()
}

// agreement is what is said where there are no troubles.
func (m *matrix) agreement() string {
	if len(m.addrs) == 1 {
		return "the only member is well"
	}
	return fmt.Sprintf("all %d members agree", len(m.addrs))
}

// offlineMost is how many who are offline are named.
const offlineMost = 8

// away says who is offline for all.
func (m *matrix) away() string {
	var parts []string
	for _, of := range m.offline[:min(len(m.offline), offlineMost)] {
		parts = append(parts, fmt.Sprintf("%v (%s)", of, clean(m.names[of])))
	}
	if more := len(m.offline) - offlineMost; more > 0 {
		parts = append(parts, fmt.Sprintf("%d more", more))
	}
	return "offline for all of them: " + strings.Join(parts, ", ")
}

// legend says what letters stand for.
func (m *matrix) legend(self string) string {
	if self != letterSelf {
		return ""
	}
	return "\n+ alive  s suspect  o offline  l left  x unreachable  ? unknown  - has not answered\n"
}

func (m *matrix) table(cell func(by, of netip.AddrPort) string) *table {
	t := &table{columns: columnsOf("", "MEMBER", "NAME")}
	for i := range m.addrs {
		t.columns = append(t.columns, column{name: strconv.Itoa(i + 1)})
	}
	for i, by := range m.addrs {
		row := []string{strconv.Itoa(i + 1), by.String(), clean(m.names[by])}
		for _, of := range m.addrs {
			row = append(row, cell(by, of))
		}
		t.rows = append(t.rows, row)
	}
	return t
}

// needs is how many cells a table takes.
func (t *table) needs() int {
	total := len(columnGap) * (len(t.columns) - 1)
	for _, w := range t.widths() {
		total += w
	}
	return total
}

// cell is a belief in a word, or the round trip where it is well.
func (m *matrix) cell(by, of netip.AddrPort) string {
	word, _ := m.belief(by, of)
	b := m.beliefs[[2]netip.AddrPort{by, of}]
	switch {
	case word == "":
		return "-"
	case word != "alive" && word != "self":
		return word
	case word == "self":
		return "."
	case b.Peer.Loss >= 0.01:
		return short(b.RTT) + " " + strconv.Itoa(int(100*b.Peer.Loss+0.5)) + "%"
	case b.RTT == 0:
		return "alive"
	}
	return short(b.RTT)
}

const letterSelf = "·"

// letter is a belief in one letter.
func (m *matrix) letter(by, of netip.AddrPort) string {
	word, _ := m.belief(by, of)
	return map[string]string{
		"": "-", "self": letterSelf, "alive": "+", "suspect": "s", "offline": "o", "left": "l", "unreachable": "x",
		"unknown": "?",
	}[word]
}
