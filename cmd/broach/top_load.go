package main

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"broach"
)

// functionLoad is how a function was served within a time, at one member or at all.
type functionLoad struct {
	name             string
	calls, errors    float64 // a second
	running          int
	latency, waiting broach.Histogram
}

// add adds what was served elsewhere.
func (f *functionLoad) add(o *functionLoad) {
	f.calls += o.calls
	f.errors += o.errors
	f.running += o.running
	f.latency, f.waiting = plus(f.latency, o.latency), plus(f.waiting, o.waiting)
}

// aliveOf are those who can be asked.
func aliveOf(v broach.View) (list []netip.AddrPort) {
	for _, m := range v.Members {
		if m.State == broach.Alive {
			list = append(list, m.Addr)
		}
	}
	return list
}

// forget drops what members have said that are there no more.
func (l *load) forget(v broach.View) {
	is := map[string]bool{}
	for _, at := range aliveOf(v) {
		is[at.String()] = true
	}
	maps.DeleteFunc(l.said, func(at string, _ *nodeLoad) bool { return !is[at] })
}

// since compares what a member says with what it has said before, if it has. One that was started anew begins anew.
func since(before *nodeLoad, v broach.View, now time.Time) *nodeLoad {
	n := &nodeLoad{view: v, at: now, functions: map[string]*functionLoad{}}
	if before == nil {
		before = n
	}
	if v.Uptime > before.view.Uptime {
		n.over = now.Sub(before.at)
		n.cpu = float64(v.CPU-before.view.CPU) / float64(n.over)
	}
	old := map[string]broach.FunctionStats{}
	for _, f := range before.view.Stats.Served {
		old[f.Name] = f
	}
	for _, f := range v.Stats.Served {
		one := &functionLoad{name: f.Name, running: f.Running}
		if n.over > 0 {
			was := old[f.Name]
			one.calls = perSecond(f.Calls-was.Calls, n.over)
			one.errors = perSecond(failures(f)-failures(was), n.over)
			one.latency, one.waiting = minus(f.Latency, was.Latency), minus(f.Waiting, was.Waiting)
		}
		n.calls += one.calls
		n.functions[f.Name] = one
	}
	return n
}

func perSecond(n uint64, over time.Duration) float64 { return float64(n) / over.Seconds() }

func failures(f broach.FunctionStats) (n uint64) {
	for _, c := range f.Errors {
		n += c
	}
	return n
}

func minus(a, b broach.Histogram) broach.Histogram {
	for i := range a.Counts {
		a.Counts[i] -= b.Counts[i]
	}
	a.Sum -= b.Sum
	return a
}

func plus(a, b broach.Histogram) broach.Histogram {
	for i := range a.Counts {
		a.Counts[i] += b.Counts[i]
	}
	a.Sum += b.Sum
	return a
}

// quantile is the time that a share of those in a histogram kept within, by the bounds of its classes. 0: there is
// none.
func quantile(h broach.Histogram, share float64) time.Duration {
	n := uint64(0)
	for _, c := range h.Counts {
		n += c
	}
	want, seen := share*float64(n), 0.0
	for i, c := range h.Counts {
		if seen += float64(c); c > 0 && seen >= want {
			if i == len(broach.HistogramBounds) {
				return beyond
			}
			return broach.HistogramBounds[i]
		}
	}
	return 0
}

// beyond stands for times above the last bound.
const beyond = time.Minute

// within is a quantile as people read it.
func within(d time.Duration) string {
	if d == beyond {
		return ">10s"
	}
	return short(d)
}

// topColumns are what functions can be sorted by.
var topColumns = []struct {
	name    string
	compare func(a, b *functionLoad) int // what comes first is what people look for
}{
	{"calls/s", func(a, b *functionLoad) int { return cmp.Compare(b.calls, a.calls) }},
	{"errors/s", func(a, b *functionLoad) int { return cmp.Compare(b.errors, a.errors) }},
	{"p50", func(a, b *functionLoad) int { return cmp.Compare(quantile(b.latency, 0.5), quantile(a.latency, 0.5)) }},
	{"p99", func(a, b *functionLoad) int { return cmp.Compare(quantile(b.latency, 0.99), quantile(a.latency, 0.99)) }},
	{"function", func(a, b *functionLoad) int { return strings.Compare(a.name, b.name) }},
}

// functions are those of all members together, sorted.
func (l *load) functions() []*functionLoad {
	sums := map[string]*functionLoad{}
	for _, n := range l.said {
		for name, f := range n.functions {
			if sums[name] == nil {
				sums[name] = &functionLoad{name: name}
			}
			sums[name].add(f)
		}
	}
	list := slices.SortedFunc(maps.Values(sums), func(a, b *functionLoad) int {
		return cmp.Or(topColumns[l.sortBy].compare(a, b), strings.Compare(a.name, b.name))
	})
	if l.isReversed {
		slices.Reverse(list)
	}
	return list
}

// nodes are the members, those first that have most to do.
func (l *load) nodes() []*nodeLoad {
	return slices.SortedFunc(maps.Values(l.said), func(a, b *nodeLoad) int {
		return cmp.Or(cmp.Compare(b.calls, a.calls), a.view.Addr.Compare(b.view.Addr))
	})
}

// picture is a screen of so many columns and lines; 0: as many as there are.
func (l *load) picture(width, height int) string {
	functions, nodes := l.functionTable(width), l.nodeTable(width)
	calls := 0.0
	for _, n := range l.said {
		calls += n.calls
	}
	head := fmt.Sprintf("%s, %s calls/s, %d without an answer\nsorted by %s",
		counted(len(l.said)+l.silent, "member"), number(calls), l.silent, topColumns[l.sortBy].name)
	if l.isReversed {
		head += ", reversed"
	}
	if height > 0 {
		head += "    s next column  r reverse  q quit"
		room := max(4, height-6) // head, two empty lines, two headings
		nodes.rows = nodes.rows[:min(len(nodes.rows), max(2, room-min(len(functions.rows), room*2/3)))]
		functions.rows = functions.rows[:min(len(functions.rows), max(2, room-len(nodes.rows)))]
	}
	return fit(head+"\n\n"+functions.String()+"\n"+nodes.String(), width)
}

func (l *load) functionTable(width int) *table {
	columns := columnsOf("CALLS/S", "ERRORS/S", "P50 <=", "P99 <=", "WAIT P99", "RUNNING", "FUNCTION")
	t := &table{columns: columns, width: width}
	for _, f := range l.functions() {
		name := f.name
		if name == "" {
			name = "(all others)"
		}
		t.rows = append(t.rows, []string{number(f.calls), number(f.errors), within(quantile(f.latency, 0.5)),
			within(quantile(f.latency, 0.99)), within(quantile(f.waiting, 0.99)), strconv.Itoa(f.running), clean(name)})
	}
	return t
}

func (l *load) nodeTable(width int) *table {
	t := &table{columns: columnsOf("CALLS/S", "RUNNING", "QUEUED", "CPU", "HEAP", "UPTIME", "NODE"), width: width}
	for _, n := range l.nodes() {
		s := &n.view.Stats
		t.rows = append(t.rows, []string{number(n.calls), strconv.Itoa(s.Running), strconv.Itoa(s.Queued),
			strconv.Itoa(int(100*n.cpu+0.5)) + "%", strconv.FormatUint(n.view.HeapBytes>>20, 10) + " MiB",
			n.view.Uptime.Truncate(time.Second).String(), clean(n.view.Addr.String() + " " + n.view.Name)})
	}
	return t
}

// number is one of calls: a decimal only where there are few.
func number(f float64) string {
	if f == 0 || f >= 10 {
		return strconv.FormatFloat(f, 'f', 0, 64)
	}
	return strconv.FormatFloat(f, 'f', 1, 64)
}
