package broach

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Jobs run in the order in which they came, until they expire while they wait. Then the newest is next, until the queue is empty.
func TestPoolTakesTheNewestWhenJobsExpire(t *testing.T) {
	inBubble(t, Pool{Core: 1, Max: 1, Queue: 16, GrowAt: 16, RejectWhenFull: true}, func(t *testing.T, p *pool) {
		var order []int
		job := func(i int, lasting time.Duration) *probeJob {
			return &probeJob{do: func() { order = append(order, i); time.Sleep(time.Second) }, until: time.Now().Add(lasting)}
		}
		early, late := job(2, 500*time.Millisecond), job(4, 2500*time.Millisecond)
		for _, j := range []*probeJob{job(1, time.Hour), early, job(3, time.Hour), late, job(5, time.Hour), job(6, time.Hour)} {
			p.offer(j)
		}
		p.kick()
		time.Sleep(10 * time.Second)
		require.Zero(t, p.stats().running)
		require.Equal(t, []int{1, 6, 5, 3}, order)
		require.Equal(t, fate{sheds: 1}, early.fate())
		require.Equal(t, fate{sheds: 1}, late.fate(), "an old one goes as soon as it has expired")

		order = nil
		for i := range 3 {
			p.offer(job(i, time.Hour))
		}
		p.kick()
		time.Sleep(10 * time.Second)
		require.Zero(t, p.stats().running)
		require.Equal(t, []int{0, 1, 2}, order, "the queue was empty")
	})
}
