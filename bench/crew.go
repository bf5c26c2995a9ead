package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sync/errgroup"
)

// A crew is the callers of one measurement, and the transfer beside them if there is one.
type crew struct {
	clients []client
	callers []*caller

	closing  atomic.Bool
	bulk     sync.WaitGroup
	moved    atomic.Int64 // bytes that have been transferred
	bulkLost atomic.Pointer[error]
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
		c.callers = append(c.callers, newCaller(mine, i, w.callers, w.size))
	}
	if w.transfer > 0 {
		c.bulk.Go(func() { c.transfer(w.transfer) })
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

// transfer sends large messages until the crew is closed.
func (c *crew) transfer(size int) {
	p := make([]byte, size)
	for i := range p {
		p[i] = byte(i >> 8)
	}
	want := checksum(p)
	for !c.closing.Load() {
		got, err := c.clients[0].put(p)
		if err == nil && got != want {
			err = fmt.Errorf("%w: a transfer arrived changed", errWrong)
		}
		if err != nil {
			c.bulkLost.Store(&err)
			return
		}
		c.moved.Add(int64(size))
	}
}

// bulkErr is what ended the transfers.
func (c *crew) bulkErr() error {
	if err := c.bulkLost.Load(); err != nil {
		return *err
	}
	return nil
}

// close hangs up, which ends a transfer under way too.
func (c *crew) close() {
	c.closing.Store(true)
	for _, one := range c.clients {
		one.close()
	}
	c.bulk.Wait()
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

// lost is an example of why calls failed in the last window.
func (c *crew) lost() error {
	for _, one := range c.callers {
		if one.lost != nil {
			return one.lost
		}
	}
	return nil
}
