package main

import (
	"cmp"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"time"

	"broach/bench/internal/checkout"
	"broach/bench/internal/page"
)

// log lists what was done and what one node saw, with the time since the cause, and the surprises of the others.
func (t *trial) log(by netip.AddrPort) string {
	lines := slices.Clone(t.marks)
	surprises := t.surprises()
	for _, s := range t.sightings {
		if s.By == by {
			lines = append(lines, mark{s.When, s.String()})
		} else if slices.Contains(surprises, s) {
			lines = append(lines, mark{s.When, s.String() + ", says " + s.By.String()})
		}
	}
	slices.SortStableFunc(lines, func(a, b mark) int { return a.when.Compare(b.when) })
	var b strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&b, "%12.1f ms  %s\n", millis(l.when.Sub(t.cause)), l.text)
	}
	return cmp.Or(b.String(), "     no event\n")
}

// String is the sighting without who saw it.
func (s sighting) String() string {
	if s.Service != "" {
		return fmt.Sprintf("%v: %s of %v", s.Kind, s.Service, s.About)
	}
	return fmt.Sprintf("%v: %v", s.Kind, s.About)
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// account is the trial in words.
func (t *trial) account(by netip.AddrPort) account {
	return account{t.title, t.log(by), t.row(), by}
}

// table has a line for each scenario and side.
func table(sides []*side) string {
	head := []string{
		"", "first knows", "all know", "back", "false alarms", "doubts",
		"calls", "failed, code (executed)", "wrong answers", "longest answered", "longest failed",
	}
	var rows [][]string
	for i, one := range sides[0].accounts {
		for _, s := range sides {
			rows = append(rows, slices.Concat([]string{s.entitle(one.Title)}, s.accounts[i].Row))
		}
	}
	return page.Table(head, rows)
}

// row is what the table says of the trial, without its title.
func (t *trial) row() []string {
	row := []string{"", "", ""}
	if t.victim.IsValid() {
		first, all := t.known()
		row[0], row[1] = short(first), short(all)
	}
	if !t.again.IsZero() {
		row[2] = short(t.back())
	}
	alarms, doubts := t.alarms()
	return append(row, count(alarms), count(doubts),
		count(t.tally.calls), t.tally.failures(), count(t.tally.wrong), short(t.tally.longest),
		short(t.tally.longestFailed))
}

func count(n int) string { return page.Count(float64(n)) }

// short writes a time with three digits.
func short(d time.Duration) string {
	switch {
	case d == never:
		return "never"
	case d == 0:
		return ""
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", millis(d))
	case d < time.Second:
		return fmt.Sprintf("%.0f ms", millis(d))
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

// results is the page.
func results(sides []*side, pair checkout.Pair) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Processes\n\n%s%v\n%s", conditions(), pair, table(sides))
	for _, s := range sides {
		fmt.Fprintf(&b, "\n## %s\n\nMilliseconds since the cause; the process is %v.\n",
			s.entitle("What one of them saw"), s.accounts[0].By)
		for _, a := range s.accounts {
			fmt.Fprintf(&b, "\n### %s\n\n```\n%s```\n", s.entitle(a.Title), a.Log)
		}
	}
	return b.String()
}

// conditions says what was measured, and where.
func conditions() string {
	return fmt.Sprintf(
		"%d processes on loopback, and %d nodes that make %d calls each at once, without pause. One run.\n",
		processes, callers, hands) +
		"First and all know: since the signal. Back: for all, since SIGCONT or the start of the new process.\n" +
		fmt.Sprintf("%s, %s/%s, %d processors.\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
}
