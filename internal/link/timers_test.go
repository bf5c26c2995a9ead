package link

import (
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// loopOf is the part of a node's loop that steps links: it runs until stop is closed.
func (t *Timers) loopOf(stop <-chan struct{}) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		now := time.Now()
		t.wake.Store(math.MaxInt64)
		next, _ := t.Run(now)
		if next.IsZero() {
			next = now.Add(time.Minute)
		}
		t.Settle(t.Stamp(next))
		timer.Reset(next.Sub(now))
		select {
		case <-t.wakec:
		case <-timer.C:
		case <-stop:
			return
		}
	}
}

func TestStampsAndTimesAreInverse(t *testing.T) {
	var s Timers
	s.init(epoch)
	require.Zero(t, s.Stamp(time.Time{}), "never")
	require.Equal(t, int64(1), s.Stamp(epoch), "the start is not never")
	at := epoch.Add(12345 * time.Microsecond)
	require.Equal(t, at, s.time(s.Stamp(at)))
}

// Many goroutines make links due while the loop looks: each link is stepped at its time, never a minute later.
func TestNoWakeUpIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const callers, rounds = 16, 200
		c := newEnd(t, 1, bounds{}).wires
		stop := make(chan struct{})
		var loop, all sync.WaitGroup
		loop.Go(func() { c.Timers.loopOf(stop) })
		for i := range callers {
			l := someLink(c, wire.PublicKey{byte(i + 1)})
			all.Go(func() {
				for r := range rounds {
					wait := time.Duration(1+(r*7+i)%13) * time.Millisecond
					p, sent := c.NewCall(), time.Now()
					_, _, err := l.Send(sent, sent.Add(wait), frameOf("f", nil), p)
					if !assert.NoError(t, err) {
						return
					}
					<-p.Done
					late := time.Since(sent) - wait
					if p.Code != wire.DeadlineExceeded || late < 0 || late > stepPause {
						t.Errorf("caller %d, round %d: %v, %v after its deadline", i, r, p.Code, late)
						return
					}
					c.FreeCall(p)
				}
			})
		}
		all.Wait()
		close(stop)
		loop.Wait()
	})
}

func TestIdleLinkLeavesTheTimers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newEnd(t, 1, bounds{}).wires
		l := someLink(c, wire.PublicKey{2})
		p := c.NewCall()
		_, _, err := l.Send(time.Now(), time.Now().Add(time.Millisecond), frameOf("f", nil), p)
		require.NoError(t, err)
		time.Sleep(time.Millisecond)
		_, silent := c.Timers.Run(time.Now())
		require.Empty(t, silent)
		next, _ := c.Timers.Run(time.Now())
		require.True(t, next.IsZero())
		require.Empty(t, c.Timers.armed)
		require.False(t, l.armed)
	})
}

func TestAnEarlierWishWakesTheLoop(t *testing.T) {
	var s Timers
	s.init(epoch)
	s.wake.Store(math.MaxInt64)
	s.WakeBy(50)
	require.Len(t, s.wakec, 1)
	<-s.wakec
	s.Settle(100)
	require.Equal(t, int64(50), s.wake.Load(), "a wish from before settle holds")
	s.WakeBy(60)
	require.Empty(t, s.wakec, "the loop looks before that anyway")
	s.WakeBy(40)
	require.Len(t, s.wakec, 1)
}
