package pool

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Jobs run in the order in which they came, until they expire while they wait. Then the newest is next, until the queue
// is empty.
func TestPoolTakesTheNewestWhenJobsExpire(t *testing.T) {
	inBubble(t, Limits{Core: 1, Max: 1, Queue: 16, GrowAt: 16, RejectWhenFull: true}, func(t *testing.T, p *Pool) {
		var order []int
		job := func(i int, lasting time.Duration) *probeJob {
			return &probeJob{do: func() { order = append(order, i); time.Sleep(time.Second) },
				until: time.Now().Add(lasting)}
		}
		early, late := job(2, 500*time.Millisecond), job(4, 2500*time.Millisecond)
		for _, j := range []*probeJob{
			job(1, time.Hour), early, job(3, time.Hour), late, job(5, time.Hour), job(6, time.Hour),
		} {
			p.Offer(j)
		}
		p.Kick()
		time.Sleep(10 * time.Second)
		require.Zero(t, p.Stats().Running)
		require.Equal(t, []int{1, 6, 5, 3}, order)
		require.Equal(t, fate{sheds: 1}, early.fate())
		require.Equal(t, fate{sheds: 1}, late.fate(), "an old one goes as soon as it has expired")

		order = nil
		for i := range 3 {
			p.Offer(job(i, time.Hour))
		}
		p.Kick()
		time.Sleep(10 * time.Second)
		require.Zero(t, p.Stats().Running)
		require.Equal(t, []int{0, 1, 2}, order, "the queue was empty")
	})
}

// Jobs that never expire, such as one-way calls and events, get their turn also where others expire all the time.
func TestPoolForgetsNoJobWhenOthersExpire(t *testing.T) {
	inBubble(t, Limits{Core: 1, Max: 1, Queue: 1000, GrowAt: 1000, RejectWhenFull: true}, func(t *testing.T, p *Pool) {
		patient := &probeJob{}
		for i := range 300 {
			if i == 100 {
				p.Offer(patient)
			}
			for range 2 { // twice what can be done
				p.Offer(&probeJob{do: func() { time.Sleep(time.Second) }, until: time.Now().Add(10 * time.Second)})
			}
			p.Kick()
			time.Sleep(time.Second)
		}
		require.Equal(t, fate{runs: 1}, patient.fate())
		require.Greater(t, p.Stats().Done, int64(290))
		time.Sleep(20 * time.Second)
	})
}
