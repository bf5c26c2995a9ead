package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"

	"broach/bench/internal/page"
)

// write makes the page and the picture.
func (p plan) write(r results) error {
	text := "# Results\n\n" + p.conditions() + "\n![calls and MiB a second](results.svg)\n\n" + p.tables(r)
	if err := os.WriteFile(filepath.Join(p.out, "RESULTS.md"), []byte(text), 0o644); err != nil {
		return err
	}
	return p.draw(r, filepath.Join(p.out, "results.svg"))
}

// conditions says what was measured, and where.
func (p plan) conditions() string {
	rounds := fmt.Sprintf("Medians of %d rounds of %v each%s. ", p.rounds, p.window, p.inLayouts())
	machine := fmt.Sprintf("%s, %s/%s, %d processors, client and server in two processes on loopback.\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	return rounds + machine + "README.md says how each system is set up and what the columns mean.\n" +
		p.pair.String() + versions()
}

func (p plan) inLayouts() string {
	if p.layouts == 0 {
		return ""
	}
	return fmt.Sprintf(" over %d layouts", p.layouts)
}

// versions lists the modules that were measured.
func versions() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	var list []string
	for _, m := range info.Deps {
		switch m.Path {
		case "google.golang.org/grpc", "storj.io/drpc", "github.com/nats-io/nats-server/v2",
			"github.com/nats-io/nats.go":
			list = append(list, m.Path+" "+m.Version)
		}
	}
	if list == nil {
		return ""
	}
	return "\n" + strings.Join(list, ", ") + ".\n"
}

// tables has one for each workload, what became of before, and the targets.
func (p plan) tables(r results) string {
	var b strings.Builder
	for _, w := range p.workloads {
		if rows := p.rows(r, w, 0); rows != nil {
			fmt.Fprintf(&b, "## %s: %s\n\n%s\n", w.name, w.title, page.Table(heading(w), rows))
		}
		if rows := p.rows(r, w, p.gogc); p.gogc > 0 && rows != nil {
			fmt.Fprintf(&b, "With GOGC=%d:\n\n%s\n", p.gogc, page.Table(heading(w), rows))
		}
	}
	b.WriteString(p.versusTable(r))
	if rows := targetRows(r); rows != nil {
		head := []string{"target", "measured", "must", "met", "aim", "met"}
		fmt.Fprintf(&b, "## Targets\n\n%s", page.Table(head, rows))
	}
	return b.String()
}

// columns are the metrics that a table of the workload shows.
func columns(w workload) []metric {
	list := []metric{rate, p50, p99, p999}
	if w.size > 0 || w.transfer > 0 {
		list = append(list, volume)
	}
	if w.transfer == 0 {
		list = append(list, cpu, allocs)
	}
	list = append(list, failed)
	if w.lossy {
		list = append(list, repeated)
	}
	return list
}

// standard is the system that the others of a workload are compared with.
func standard(w workload) string {
	if w.lossy {
		return lossySystems[0].name
	}
	return broachTyped.name
}

func heading(w workload) []string {
	head := []string{w.name}
	for _, m := range columns(w) {
		head = append(head, labels[m].short)
	}
	return append(head, standard(w)+" is")
}

// rows has one for each system that was measured at the workload, with that GOGC; 0: Go's own.
func (p plan) rows(r results, w workload, gogc int) (rows [][]string) {
	for _, s := range p.systems {
		at := cell{w.name, s.name}
		m, ok := r.median(at)
		if !ok || s.gogc != gogc {
			continue
		}
		row := []string{s.title}
		for _, c := range columns(w) {
			row = append(row, labels[c].show(m[c]))
		}
		rows = append(rows, append(row, times(r, w, s)))
	}
	return rows
}

// times is how many times the calls of the system the standard makes, with the same GOGC.
func times(r results, w workload, s system) string {
	of := system{name: standard(w)}
	if s.gogc > 0 {
		of = of.withHeap(s.gogc)
	}
	x, ok := r.ratio(rate, cell{w.name, of.name}, cell{w.name, s.name})
	if !ok {
		return ""
	}
	return fmt.Sprintf("%.2f x", x)
}

// targetRows has one for each target that can be judged.
func targetRows(r results) (rows [][]string) {
	for _, t := range targets {
		if v, ok := t.value(r); ok {
			rows = append(rows, t.row(v))
		}
	}
	return rows
}
