package main

import (
	"fmt"
	"sync/atomic"
	"time"
)

// bulk transfers large messages, one after the other, beside the calls.
type bulk struct {
	closing atomic.Bool
	donec   chan struct{} // closed when the last transfer has ended

	// of the transfer's goroutine until donec is closed
	moved int // bytes
	spent time.Duration
	err   error
}

// startBulk transfers messages of that size until it is stopped.
func startBulk(c client, size int) *bulk {
	b := &bulk{donec: make(chan struct{})}
	p := make([]byte, size)
	for i := range p {
		p[i] = byte(i >> 8)
	}
	go b.run(c, p)
	return b
}

func (b *bulk) run(c client, p []byte) {
	defer close(b.donec)
	start, want := time.Now(), checksum(p)
	for b.err == nil && !b.closing.Load() {
		got, err := c.put(p)
		switch {
		case err != nil:
			b.err = err
		case got != want:
			b.err = fmt.Errorf("%w: a transfer arrived changed", errWrong)
		default:
			b.moved += len(p)
		}
	}
	b.spent = time.Since(start)
}

// stop lets the transfer under way be the last one.
func (b *bulk) stop() { b.closing.Store(true) }

// isDone says whether the last transfer has ended.
func (b *bulk) isDone() bool {
	select {
	case <-b.donec:
		return true
	default:
		return false
	}
}

// perSecond is how many bytes of whole transfers were moved in a second. It is asked when the last has ended.
func (b *bulk) perSecond() float64 { return float64(b.moved) / b.spent.Seconds() }
