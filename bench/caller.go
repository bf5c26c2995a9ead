package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	// The histograms tell times apart to a hundredth, from a tenth of a microsecond to a minute.
	finestTime  = 100 * time.Nanosecond
	longestTime = time.Minute
	timeDigits  = 2

	// afterFailure keeps a system that fails at once from spinning through the window.
	afterFailure = time.Millisecond
)

// errWrong is an answer that is not the right one. It ends the run: nothing else that was measured would mean anything.
var errWrong = errors.New("wrong answer")

// A caller makes one call after the other.
type caller struct {
	client  client
	items   streamer // the client, where items are streamed; nil: they are not
	lender  lender   // the client, where what is echoed is lent; nil: it is not
	payload []byte   // the longest that is echoed; nil to add
	spread  int      // how much shorter some are
	id, ids int      // of the next call, and how far the ids of one caller lie apart

	compare func(back []byte) // with what was sent, which is sent now
	sent    []byte
	isSame  bool

	tried, answered int // calls since the caller was made

	// of the present window
	times  *hdrhistogram.Histogram
	inTime int // answered before the window closed
	failed int
	lost   error // why one of them failed
}

// newCaller makes the caller number i of the workload.
func newCaller(c client, i int, w workload) *caller {
	h := hdrhistogram.New(int64(finestTime), int64(longestTime), timeDigits)
	one := &caller{client: c, id: i, ids: w.callers, times: h}
	if w.lent {
		one.lender, _ = c.(lender)
	}
	one.compare = func(back []byte) { one.isSame = bytes.Equal(back, one.sent) }
	if w.stream {
		one.items = c.(streamer)
	}
	if w.size > 0 {
		one.payload = bytes.Repeat([]byte{byte(i)}, w.size)
	}
	if w.least > 0 {
		one.spread = w.size - w.least
	}
	return one
}

// work calls until the window closes and the last answer is there.
func (c *caller) work(end time.Time) error {
	c.times.Reset()
	c.inTime, c.failed, c.lost = 0, 0, nil
	if c.items != nil {
		return c.streamUntil(end)
	}
	for now := time.Now(); now.Before(end); {
		err := c.call()
		if errors.Is(err, errWrong) {
			return err
		}
		then := now
		now = time.Now()
		c.note(now.Sub(then), now.Before(end), err)
	}
	return nil
}

// itemBurst is how many items are timed together: to ask for the time at each would cost a tenth of a small one.
const itemBurst = 16

// streamUntil ranges over one stream until the window closes. Each item counts as a call.
func (c *caller) streamUntil(end time.Time) error {
	then, n := time.Now(), 0
	isRight := true
	err := c.items.stream(len(c.payload), func(item []byte) bool {
		isRight = len(item) == len(c.payload) && binary.LittleEndian.Uint64(item) == uint64(n)
		if n++; !isRight || n%itemBurst > 0 {
			return isRight
		}
		now := time.Now()
		c.noteBurst(now.Sub(then)/itemBurst, now.Before(end))
		then = now
		return now.Before(end)
	})
	switch {
	case !isRight:
		return fmt.Errorf("%w: item %d of a stream", errWrong, n)
	case err != nil:
		c.tried++
		c.note(0, false, err)
	}
	return nil
}

// noteBurst counts itemBurst items, each of which took d.
func (c *caller) noteBurst(d time.Duration, inTime bool) {
	c.tried += itemBurst
	c.answered += itemBurst
	if inTime {
		c.inTime += itemBurst
	}
	c.times.RecordValues(int64(min(d, longestTime)), itemBurst)
}

// call makes one call and checks the answer.
func (c *caller) call() error {
	id := c.id
	c.id += c.ids
	c.tried++
	if c.payload != nil {
		return c.echo(id)
	}
	sum, err := c.client.add(id, id%1000)
	if err == nil && sum != id+id%1000 {
		return fmt.Errorf("%w: %d + %d = %d", errWrong, id, id%1000, sum)
	}
	return err
}

// echo sends the payload, or as much of it as is the id's turn; it begins with the id.
func (c *caller) echo(id int) error {
	binary.LittleEndian.PutUint64(c.payload, uint64(id))
	c.sent = c.payload[:len(c.payload)-id%(c.spread+1)]
	err := c.exchange()
	if err == nil && !c.isSame {
		return fmt.Errorf("%w: what came back is not the %d bytes that were sent", errWrong, len(c.sent))
	}
	return err
}

// exchange sends the bytes and compares what comes back.
func (c *caller) exchange() error {
	if c.lender != nil {
		return c.lender.lend(c.sent, c.compare)
	}
	back, err := c.client.echo(c.sent)
	if err == nil {
		c.compare(back)
	}
	return err
}

// note counts a call that took d.
func (c *caller) note(d time.Duration, inTime bool, err error) {
	if err != nil {
		c.failed++
		c.lost = err
		time.Sleep(afterFailure)
		return
	}
	c.answered++
	if inTime {
		c.inTime++
	}
	c.times.RecordValue(int64(min(d, longestTime)))
}
