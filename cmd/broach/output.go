package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// listing is what a command has found: rows for people, items for programs.
type listing struct {
	columns []column
	rows    [][]string
	items   []any // one a row, for JSON
}

// column is one of a table; a wide one is shown with --wide only.
type column struct {
	name string
	wide bool
}

// columnsOf makes columns of names; what follows a star is wide.
func columnsOf(names ...string) (list []column) {
	for _, name := range names {
		plain, wide := strings.CutPrefix(name, "*")
		list = append(list, column{plain, wide})
	}
	return list
}

// add is one more row, and the item that it shows.
func (l *listing) add(item any, cells ...string) {
	for i := range cells {
		cells[i] = clean(cells[i])
	}
	l.rows, l.items = append(l.rows, cells), append(l.items, item)
}

// emit prints a listing in the format that is wanted.
func (a *app) emit(l listing, wide bool) error {
	switch a.output {
	case "json":
		if l.items == nil {
			l.items = []any{}
		}
		return a.emitJSON(l.items)
	case "jsonl":
		for _, item := range l.items {
			if err := a.emitJSON(item); err != nil {
				return err
			}
		}
		return nil
	case "csv":
		return l.writeCSV(a.out)
	}
	t := table{columns: l.columns, rows: l.rows, wide: wide, width: a.width(), hasColor: a.hasColor()}
	_, err := io.WriteString(a.out, t.String())
	return err
}

func (l *listing) writeCSV(to io.Writer) error {
	w := csv.NewWriter(to)
	head := make([]string, len(l.columns))
	for i, c := range l.columns {
		head[i] = strings.ToLower(c.name)
	}
	_ = w.Write(head)
	for _, row := range l.rows {
		for i := range row {
			row[i] = noFormula(row[i])
		}
		_ = w.Write(row)
	}
	w.Flush()
	return w.Error()
}

// noFormula has a spreadsheet show a cell that it would compute: =, +, - and @ begin a formula, and names are
// strangers' words.
func noFormula(cell string) string {
	if cell == "" || cell == "-" || !strings.ContainsRune("=+-@", rune(cell[0])) {
		return cell
	}
	if _, err := strconv.ParseFloat(cell, 64); err == nil {
		return cell
	}
	return "'" + cell
}

// emitJSON prints one document on one line.
func (a *app) emitJSON(v any) error {
	text, err := marshal(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(a.out, text)
	return err
}

// marshal is JSON that can be printed anywhere.
func marshal(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", err
	}
	return escapeJSON(strings.TrimSuffix(b.String(), "\n")), nil
}

// isForPrograms reports whether JSON is wanted.
func (a *app) isForPrograms() bool { return a.output == "json" || a.output == "jsonl" }

// seconds is a time as JSON has it: "0.0015s".
type seconds time.Duration

func (d seconds) String() string {
	return strconv.FormatFloat(time.Duration(d).Seconds(), 'f', -1, 64) + "s"
}

// MarshalText is String.
func (d seconds) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// short is a time as people read it: three digits, "-" for none.
func short(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	for unit := time.Duration(1); unit <= time.Hour; unit *= 10 {
		if d.Abs() < 1000*unit {
			return d.Round(unit).String()
		}
	}
	return d.Round(time.Minute).String()
}

// counted is a number of things.
func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return strconv.Itoa(n) + " " + thing + "s"
}
