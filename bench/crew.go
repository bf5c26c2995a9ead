package main

import (
	"errors"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sync/errgroup"
)

// A crew is the callers of one measurement, and the transfers beside them if there are any.
type crew struct {
	clients []client
	callers []*caller
	bulk    *bulk
}

// newCrew connects the callers to a server.
func newCrew(s system, w workload, addr string) (*crew, error) {
	c := new(crew)
	for i := range w.callers {
		if i == 0 || s.perCaller {
			dialed, err := s.dial(addr)
			if err != nil {
				c.close()
				return nil, err
			}
			c.clients = append(c.clients, dialed)
		}
		mine := c.clients[len(c.clients)-1]
		c.callers = append(c.callers, newCaller(mine, i, w))
	}
	if w.transfer > 0 {
		c.bulk = startBulk(c.clients[0], w.transfer)
	}
	return c, nil
}

// work lets all callers work for that long.
func (c *crew) work(window time.Duration) error {
	end := time.Now().Add(window)
	var g errgroup.Group
	for _, one := range c.callers {
		g.Go(func() error { return one.work(end) })
	}
	return g.Wait()
}

// endBulk lets the transfer under way end. The callers go on meanwhile, so that it is never alone.
func (c *crew) endBulk(slice time.Duration) error {
	for c.bulk.stop(); !c.bulk.isDone(); {
		if err := c.work(slice); err != nil {
			return err
		}
	}
	if errors.Is(c.bulk.err, errWrong) {
		return c.bulk.err
	}
	return nil
}

// close hangs up, which ends a transfer under way too.
func (c *crew) close() {
	if c.bulk != nil {
		c.bulk.stop()
	}
	for _, one := range c.clients {
		one.close()
	}
	if c.bulk != nil {
		<-c.bulk.donec
	}
}

// times are those of all callers in the last window.
func (c *crew) times() *hdrhistogram.Histogram {
	all := hdrhistogram.New(int64(finestTime), int64(longestTime), timeDigits)
	for _, one := range c.callers {
		all.Merge(one.times)
	}
	return all
}

// total adds up what count says of each caller.
func (c *crew) total(count func(*caller) int) (n int) {
	for _, one := range c.callers {
		n += count(one)
	}
	return n
}

// lost is an example of why calls failed in the last window; "" if none did.
func (c *crew) lost() string {
	for _, one := range c.callers {
		if one.lost != nil {
			return one.lost.Error()
		}
	}
	return ""
}
