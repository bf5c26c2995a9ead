package main

import (
	"fmt"
	"math"
	"time"
)

// warmup is the share of a window that is worked before it, for connections, buffers and estimates to settle.
const warmup = 0.2

// measure starts a server of the system, lets the callers work, and says what that gave.
func measure(s system, w workload, window time.Duration) (outcome, error) {
	srv, err := startChild(s.name)
	if err != nil {
		return outcome{}, err
	}
	defer srv.stop()
	c, err := newCrew(s, w, srv.addr)
	if err != nil {
		return outcome{}, err
	}
	defer c.close()
	if err := c.work(time.Duration(warmup * float64(window))); err != nil {
		return outcome{}, err
	}
	r, err := observe(srv, c, window)
	got := outcome{r.withEcho(w.meanSize()), c.lost()}
	if err != nil || c.bulk == nil {
		return got, err
	}
	err = c.endBulk(window / 10)
	got.Result = r.withBulk(c.bulk)
	return got, err
}

// observe measures one window of work.
func observe(srv *child, c *crew, window time.Duration) (result, error) {
	before, err := usageOfBoth(srv)
	if err != nil {
		return result{}, err
	}
	if err := c.work(window); err != nil {
		return result{}, err
	}
	after, err := usageOfBoth(srv)
	if err != nil {
		return result{}, err
	}
	r := c.result(window.Seconds())
	calls := float64(c.total(func(one *caller) int { return int(one.times.TotalCount()) }))
	r[cpu] = (after.CPU - before.CPU).Seconds() / calls
	r[allocs] = float64(after.Mallocs-before.Mallocs) / calls
	r[repeated] = float64(after.Repeated)
	return r, c.check(after)
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
func (c *crew) check(after usage) error {
	tried := c.total(func(one *caller) int { return one.tried })
	answered := c.total(func(one *caller) int { return one.answered })
	once := int(after.Runs - after.Repeated)
	switch {
	case answered == 0:
		return fmt.Errorf("no call was answered: %s", c.lost())
	case after.Counted && (once < answered || once > tried):
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
	r[volume] = math.NaN()
	r[failed] = float64(c.total(func(one *caller) int { return one.failed }))
	return r
}

const mebi = 1 << 20

// withEcho adds what was echoed; nothing was if size is 0.
func (r result) withEcho(size int) result {
	if size > 0 {
		r[volume] = r[rate] * float64(size) / mebi
	}
	return r
}

// withBulk adds what was transferred beside the calls. The costs of both together are not those of the calls.
func (r result) withBulk(b *bulk) result {
	r[volume] = b.perSecond() / mebi
	r[cpu], r[allocs] = math.NaN(), math.NaN()
	if b.err != nil {
		r[failed]++
	}
	return r
}
