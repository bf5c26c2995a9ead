package main

import (
	"context"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/spf13/cobra"

	"broach"
)

// benchItem is what came of all calls, in JSON.
type benchItem struct {
	Service   string             `json:"service"`
	Callers   int                `json:"callers"`
	Took      seconds            `json:"took"`
	Calls     int64              `json:"calls"`
	PerSecond float64            `json:"per_second"`
	Errors    map[string]int64   `json:"errors"`
	Latency   map[string]seconds `json:"latency"`
	Nodes     map[string]int64   `json:"nodes"`
}

// benchFlags say how much to call.
type benchFlags struct {
	callers, count int
	within         time.Duration
	rate           float64
	yes            bool
}

func (a *app) benchCommand() *cobra.Command {
	var f callFlags
	var b benchFlags
	c := &cobra.Command{
		Use: "bench NAME [ARG...]", Short: "Call a function again and again, and say how long that takes",
		Long: "Call a function again and again, and say how long that takes. With --rate, calls begin at fixed\n" +
			"times, and a time is counted from when its call should have begun. A function that is not Idempotent\n" +
			"is called with --yes only.",
		Example: "  broach bench work01 1 2 -c 8 --for 10s\n  broach bench work01 1 2 --rate 1000 -n 5000",
		Args:    cobra.MinimumNArgs(1), ValidArgsFunction: a.completeNames,
		RunE: func(c *cobra.Command, args []string) error {
			if err := b.check(); err != nil {
				return err
			}
			return a.bench(c.Context(), f, b, args[0], args[1:])
		},
	}
	f.add(c)
	c.Flags().IntVarP(&b.callers, "callers", "c", 1, "`how many` call at the same time")
	c.Flags().IntVarP(&b.count, "count", "n", 0, "end after `n` calls")
	c.Flags().DurationVar(&b.within, "for", 5*time.Second, "end after that `time`, where there is no -n")
	c.Flags().Float64Var(&b.rate, "rate", 0, "`calls` a second, of all callers together; 0: as many as they can")
	c.Flags().BoolVar(&b.yes, "yes", false, "call a function that is not Idempotent, too")
	return c
}

func (b *benchFlags) check() error {
	switch {
	case b.callers < 1 || b.callers > 10_000:
		return usagef("--callers must be 1 to 10000")
	case b.count < 0, b.within <= 0:
		return usagef("--count must not be negative, --for must be more than 0")
	case b.rate != 0 && !(b.rate >= 0.001 && b.rate <= 1e9):
		return usagef("--rate must be 0, or 0.001 to 1000000000")
	}
	return nil
}

func (a *app) bench(ctx context.Context, f callFlags, b benchFlags, name string, args []string) error {
	opts, err := f.options()
	if err != nil {
		return err
	}
	shares := &shares{}
	s, err := a.open(ctx, func(cfg *broach.Config) { cfg.Tracer = shares })
	if err != nil {
		return err
	}
	defer s.Close()
	d, values, err := s.prepare(ctx, a, name, args)
	switch {
	case err != nil:
		return err
	case streams(d):
		return noStreams(d, "bench")
	case (d == nil || !d.Idempotent) && !b.yes:
		return usagef("%s is not said to be Idempotent: to call it again and again may do harm. --yes does it", name)
	}
	r := newRun(a, b, s.Caller(name, opts...), values)
	r.run(ctx)
	if err := a.emitBench(r.item(name, shares), r.total); err != nil {
		return err
	}
	return ctx.Err() // interrupted: what was measured until then has been said
}

// run is a bench under way.
type benchRun struct {
	benchFlags
	timeout time.Duration
	caller  *broach.Caller
	values  []any
	begun   atomic.Int64 // calls
	took    time.Duration

	mu     sync.Mutex
	total  *hdrhistogram.Histogram
	errors map[string]int64
}

func newRun(a *app, b benchFlags, c *broach.Caller, values []any) *benchRun {
	return &benchRun{benchFlags: b, timeout: a.timeout, caller: c, values: values, total: newHistogram(),
		errors: map[string]int64{}}
}

// newHistogram counts microseconds up to ten minutes, to three digits.
func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, 600_000_000, 3) }

func (r *benchRun) run(ctx context.Context) {
	began := time.Now()
	var callers sync.WaitGroup
	for range r.callers {
		callers.Go(func() { r.keepCalling(ctx, began) })
	}
	callers.Wait()
	r.took = time.Since(began)
}

// keepCalling is one caller.
func (r *benchRun) keepCalling(ctx context.Context, began time.Time) {
	own, errs := newHistogram(), map[string]int64{}
	for ctx.Err() == nil {
		n := r.begun.Add(1)
		due, ok := r.waitFor(ctx, began, n)
		if !ok {
			break
		}
		calling, cancel := context.WithTimeout(ctx, r.timeout)
		_, err := r.caller.Call(calling, r.values...)
		cancel()
		if ctx.Err() != nil && err != nil { // interrupted: this one was given up
			break
		}
		_ = own.RecordValue(max(1, time.Since(due).Microseconds()))
		if err != nil {
			errs[problemOf(err).Code]++
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total.Merge(own)
	for code, n := range errs {
		r.errors[code] += n
	}
}

// waitFor waits until the n-th call is due, and returns that time; false: it is one too many.
func (r *benchRun) waitFor(ctx context.Context, began time.Time, n int64) (due time.Time, ok bool) {
	due, end := time.Now(), began.Add(r.within)
	if r.rate > 0 {
		due = began.Add(time.Duration(float64(n-1) / r.rate * float64(time.Second)))
	}
	switch {
	case r.count > 0:
		return due, n <= int64(r.count) && waitUntil(ctx, due)
	case due.Before(end):
		return due, waitUntil(ctx, due)
	}
	waitUntil(ctx, end)
	return due, false
}

func waitUntil(ctx context.Context, at time.Time) bool {
	wait := time.Until(at)
	if wait <= 0 {
		return true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (r *benchRun) item(name string, s *shares) benchItem {
	calls := r.total.TotalCount()
	item := benchItem{Service: name, Callers: r.callers, Took: seconds(r.took), Calls: calls, Errors: r.errors,
		PerSecond: math.Round(float64(calls) / r.took.Seconds()),
		Latency:   map[string]seconds{}, Nodes: map[string]int64{}}
	for _, p := range percentiles {
		item.Latency[p.name] = micros(r.total.ValueAtPercentile(p.share))
	}
	item.Latency["max"] = micros(r.total.Max())
	s.nodes.Range(func(at, n any) bool {
		item.Nodes[at.(netip.AddrPort).String()] = n.(*atomic.Int64).Load()
		return true
	})
	return item
}

var percentiles = []struct {
	name  string
	share float64
}{{"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99.9", 99.9}}

func micros(n int64) seconds { return seconds(time.Duration(n) * time.Microsecond) }

// emitBench prints it. That some calls failed is a failure.
func (a *app) emitBench(item benchItem, h *hdrhistogram.Histogram) error {
	if a.output != "table" {
		if err := a.emitJSON(item); err != nil {
			return err
		}
		return item.failed()
	}
	fmt.Fprintf(a.out, "%s: %s by %s in %s, %.0f a second\n", clean(item.Service),
		counted(int(item.Calls), "call"), counted(item.Callers, "caller"), short(time.Duration(item.Took)),
		item.PerSecond)
	var parts []string
	for _, p := range percentiles {
		parts = append(parts, p.name+" "+short(time.Duration(item.Latency[p.name])))
	}
	parts = append(parts, "max "+short(time.Duration(item.Latency["max"])))
	fmt.Fprintf(a.out, "%s\n\n%s\n", strings.Join(parts, "  "), bars(h))
	l := listing{columns: columnsOf("NODE", "CALLS", "SHARE")}
	for _, at := range slices.Sorted(maps.Keys(item.Nodes)) {
		n := item.Nodes[at]
		l.add(nil, at, strconv.FormatInt(n, 10), fmt.Sprintf("%.1f%%", 100*float64(n)/float64(max(1, item.Calls))))
	}
	if err := a.emit(l, false); err != nil {
		return err
	}
	return item.failed()
}

func (item *benchItem) failed() error {
	if len(item.Errors) == 0 {
		return nil
	}
	var parts []string
	for _, code := range slices.Sorted(maps.Keys(item.Errors)) {
		parts = append(parts, fmt.Sprintf("%d %s", item.Errors[code], code))
	}
	return fmt.Errorf("calls failed: %s", strings.Join(parts, ", "))
}

// barMost is the length of the longest bar.
const barMost = 50

// bars are the histogram as people read it: each line has times up to twice those of the line before.
func bars(h *hdrhistogram.Histogram) string {
	var bounds, counts []int64
	for upper, from := int64(50), int64(0); from <= h.Max(); from, upper = upper+1, upper*2 {
		n := int64(0)
		for _, bar := range h.Distribution() {
			if bar.From >= from && bar.From <= upper {
				n += bar.Count
			}
		}
		bounds, counts = append(bounds, upper), append(counts, n)
	}
	var b strings.Builder
	most := max(1, slices.Max(append(counts, 0)))
	for i, n := range counts {
		if n == 0 && slices.Max(append(counts[:i:i], 0)) == 0 {
			continue // faster than any
		}
		bar := strings.Repeat("#", int((n*barMost+most-1)/most))
		line := fmt.Sprintf("<= %-7s %9d  %s", short(time.Duration(bounds[i])*time.Microsecond), n, bar)
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

// shares is a Tracer that counts which node answered how many calls.
type shares struct{ nodes sync.Map } // netip.AddrPort to *atomic.Int64

// StartCall looks at each call.
func (s *shares) StartCall(ctx context.Context, _ string, _ broach.CallKind) (context.Context, broach.Span) {
	return ctx, s
}

// StartServe looks at nothing.
func (s *shares) StartServe(ctx context.Context, _ string, _ broach.CallKind, _ netip.AddrPort, _ map[string]string) (
	context.Context, broach.Span,
) {
	return ctx, nil
}

// Carry sends nothing along.
func (s *shares) Carry() []string { return nil }

// Attempt is not looked at.
func (s *shares) Attempt(netip.AddrPort, int, error) {}

// End counts.
func (s *shares) End(to netip.AddrPort, _ time.Duration, err error) {
	if err != nil || !to.IsValid() {
		return
	}
	n, ok := s.nodes.Load(to)
	if !ok {
		n, _ = s.nodes.LoadOrStore(to, new(atomic.Int64))
	}
	n.(*atomic.Int64).Add(1)
}
