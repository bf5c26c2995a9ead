package main

import (
	"fmt"
	"math"
	"runtime"
	"time"
)

// warmup is the share of a window that is worked before it, for connections, buffers and estimates to settle.
const warmup = 0.2

// measure starts a server of the system, lets the callers work, and says what that gave.
func measure(s system, w workload, window time.Duration) (result, error) {
	srv, err := startChild(s.name)
	if err != nil {
		return result{}, err
	}
	defer srv.stop()
	c, err := newCrew(s, w, srv.addr)
	if err != nil {
		return result{}, err
	}
	defer c.close()
	if err := c.work(time.Duration(warmup * float64(window))); err != nil {
		return result{}, err
	}
	return observe(srv, c, w, window)
}

// observe measures one window of work.
func observe(srv *child, c *crew, w workload, window time.Duration) (result, error) {
	runtime.GC() // what others left behind is not this one's to clear away
	before, err := usageOfBoth(srv)
	if err != nil {
		return result{}, err
	}
	moved := c.moved.Load()
	if err := c.work(window); err != nil {
		return result{}, err
	}
	moved = c.moved.Load() - moved
	after, err := usageOfBoth(srv)
	if err != nil {
		return result{}, err
	}
	if err := c.check(w, after); err != nil {
		return result{}, err
	}
	r := c.result(window.Seconds())
	r.setVolume(w, float64(moved)/window.Seconds())
	r.setCosts(w, before, after, float64(c.times().TotalCount()))
	r[repeated] = float64(after.Repeated)
	return r, nil
}

// usageOfBoth adds up what the server and this process have used.
func usageOfBoth(srv *child) (usage, error) {
	u, err := srv.usage()
	own := usageNow(nil)
	u.CPU += own.CPU
	u.Mallocs += own.Mallocs
	return u, err
}

// check reports what makes a measurement worthless.
func (c *crew) check(w workload, after usage) error {
	tried := c.total(func(one *caller) int { return one.tried })
	answered := c.total(func(one *caller) int { return one.answered })
	once := int(after.Runs - after.Repeated)
	switch {
	case c.times().TotalCount() == 0:
		return fmt.Errorf("no call was answered: %w", c.lost())
	case c.bulkErr() != nil:
		return fmt.Errorf("the transfer beside the calls: %w", c.bulkErr())
	case w.lossy && (once < answered || once > tried):
		return fmt.Errorf("%w: of %d calls %d ran and %d were answered", errWrong, tried, once, answered)
	}
	return nil
}

// result is what the callers themselves saw.
func (c *crew) result(seconds float64) (r result) {
	times := c.times()
	for m, percent := range map[metric]float64{p50: 50, p99: 99, p999: 99.9} {
		r[m] = time.Duration(times.ValueAtQuantile(percent)).Seconds()
	}
	r[rate] = float64(c.total(func(one *caller) int { return one.inTime })) / seconds
	r[failed] = float64(c.total(func(one *caller) int { return one.failed }))
	return r
}

const mebi = 1 << 20

// setVolume tells what was echoed, or transferred beside the calls.
func (r *result) setVolume(w workload, transferred float64) {
	switch {
	case w.transfer > 0:
		r[volume] = transferred / mebi
	case w.size > 0:
		r[volume] = r[rate] * float64(w.size) / mebi
	default:
		r[volume] = math.NaN()
	}
}

// setCosts shares out what both processes used. Beside a transfer it would not be the cost of the calls.
func (r *result) setCosts(w workload, before, after usage, calls float64) {
	if w.transfer > 0 {
		r[cpu], r[allocs] = math.NaN(), math.NaN()
		return
	}
	r[cpu] = (after.CPU - before.CPU).Seconds() / calls
	r[allocs] = float64(after.Mallocs-before.Mallocs) / calls
}
