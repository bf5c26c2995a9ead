package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"

	"broach/bench/internal/page"
)

// write makes the page and the picture.
func (p plan) write(r results) error {
	page := "# Results\n\n" + p.conditions() + "\n![detection under loss, and healing](results.svg)\n\n" + p.table(r)
	if err := os.WriteFile(filepath.Join(p.out, "RESULTS.md"), []byte(page), 0o644); err != nil {
		return err
	}
	return p.draw(r, filepath.Join(p.out, "results.svg"))
}

// conditions says what was measured, and where.
func (p plan) conditions() string {
	text := fmt.Sprintf(
		"%d nodes of each system in one process, on loopback. Medians of %d rounds, the maximum in brackets.\n",
		p.nodes, p.rounds)
	text += "Traffic is that of the first seconds: memberlist LAN uses TCP every 30 s, and that is not in it.\n"
	text += fmt.Sprintf("Nothing happens for %v; the network is cut for %v; never is not within %v of the event.\n",
		p.quiet, p.cut, limit)
	return text + fmt.Sprintf("%s, %s/%s, %d processors%s.\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), version())
}

// version is that of memberlist, as far as the binary knows.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, m := range info.Deps {
		if m.Path == "github.com/hashicorp/memberlist" {
			return ", memberlist " + m.Version
		}
	}
	return ""
}

// table has a line for each row of each scenario and a column for each system.
func (p plan) table(r results) string {
	head := []string{""}
	for _, s := range p.systems {
		head = append(head, s.title)
	}
	var lines [][]string
	for _, s := range p.scenarios {
		for i, one := range s.rows {
			line := []string{one.title}
			for _, with := range p.systems {
				line = append(line, one.cell(r[cell{s.name, i, with.name}]))
			}
			lines = append(lines, line)
		}
	}
	return page.Table(head, lines)
}

// cell is the median and the maximum, which is left out where it says the same.
func (r row) cell(values []float64) string {
	if len(values) == 0 {
		return ""
	}
	middle, most := r.show(median(values)), r.show(slices.Max(values))
	if middle == most {
		return middle
	}
	return middle + " (" + most + ")"
}
