package pool

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// growing is a pool of one core worker that grows at three waiting jobs.
func growing() Limits {
	return Limits{Core: 1, Max: 8, Queue: 100, GrowAt: 3, KeepAlive: 10 * time.Second, RejectWhenFull: true}
}

// "Whenever the queue is GrowAt long or longer after an enqueue, one more drain task."
func TestPoolGrowsAtTheThresholdNotBelow(t *testing.T) {
	inBubble(t, growing(), func(t *testing.T, p *Pool) {
		block := make(gate)
		defer block.open()
		offerAll(t, p, block.job())
		for range 2 {
			offerAll(t, p, block.job())
			require.Equal(t, [2]int{1, 0}, workers(p))
		}
		offerAll(t, p, block.job())
		require.Equal(t, [2]int{1, 1}, workers(p), "at three waiting")
		require.Equal(t, 2, p.Stats().Queued, "of which it took one")
		offerAll(t, p, block.job())
		require.Equal(t, [2]int{1, 2}, workers(p))
		require.Equal(t, 3, p.Stats().Running)
	})
}

// "Growth reaches the same point" when the jobs come in one batch.
func TestPoolGrowsThroughABatch(t *testing.T) {
	inBubble(t, growing(), func(t *testing.T, p *Pool) {
		block := make(gate)
		defer block.open()
		offerAll(t, p, block.job())
		offerAll(t, p, block.job(), block.job(), block.job(), block.job(), block.job(), block.job())
		require.Equal(t, [2]int{1, 4}, workers(p))
		require.Equal(t, 2, p.Stats().Queued)
	})
}

// "While one drain task has been handed over but has not taken its first job, no second is started."
func TestPoolHandsOverOneDrainTaskAtATime(t *testing.T) {
	inBubble(t, growing(), func(t *testing.T, p *Pool) {
		for range 10 {
			p.Offer(&probeJob{})
		}
		p.mu.Lock()
		first, second := p.shouldGrow(), p.shouldGrow()
		p.mu.Unlock()
		p.handOver()
		require.True(t, first)
		require.False(t, second)
		synctest.Wait()
		require.EqualValues(t, 10, p.Stats().Done)
	})
}

func TestPoolNeverGrowsBeyondMax(t *testing.T) {
	inBubble(t, growing(), func(t *testing.T, p *Pool) {
		block := make(gate)
		for range 50 {
			offerAll(t, p, block.job())
		}
		require.Equal(t, [2]int{1, 7}, workers(p))
		require.Equal(t, 8, p.Stats().Running)
		block.open()
		synctest.Wait()
		require.Equal(t, Stats{peakRunning: 8, peakQueued: 42, Done: 50}, p.Stats())
	})
}

func TestPoolKeepAliveRetiresExtraWorkers(t *testing.T) {
	inBubble(t, growing(), func(t *testing.T, p *Pool) {
		block := make(gate)
		for range 50 {
			offerAll(t, p, block.job())
		}
		block.open()
		synctest.Wait()
		require.Equal(t, [2]int{1, 0}, workers(p), "drain tasks end with the queue")
		require.Equal(t, 7, p.extra.Running(), "their goroutines are kept")

		time.Sleep(9 * time.Second)
		require.Equal(t, 7, p.extra.Running())
		time.Sleep(12 * time.Second) // ants looks once in each KeepAlive
		require.Equal(t, 0, p.extra.Running())
		require.Equal(t, [2]int{1, 0}, workers(p))

		again := &probeJob{}
		offerAll(t, p, again)
		require.Equal(t, fate{runs: 1}, again.fate())
	})
}

// Without core workers fewer than GrowAt jobs must not wait for ever.
func TestPoolWithoutCoreServesALoneJob(t *testing.T) {
	cfg := growing()
	cfg.Core = 0
	inBubble(t, cfg, func(t *testing.T, p *Pool) {
		for range 100 { // back to back: ants may still count the last task's worker
			lone := &probeJob{}
			offerAll(t, p, lone)
			require.Equal(t, fate{runs: 1}, lone.fate())
		}
		block := make(gate)
		defer block.open()
		offerAll(t, p, block.job(), block.job(), block.job())
		require.Equal(t, [2]int{0, 1}, workers(p), "but a second worker only at three")
	})
}

func TestPoolWithoutExtrasHasNoDrainPool(t *testing.T) {
	cfg := growing()
	cfg.Max = cfg.Core
	inBubble(t, cfg, func(t *testing.T, p *Pool) {
		block := make(gate)
		defer block.open()
		for range 50 {
			offerAll(t, p, block.job())
		}
		require.Nil(t, p.extra)
		require.Equal(t, 1, p.Stats().Running)
	})
}
