package broach

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestJobQueueOfZeroValueIsEmpty(t *testing.T) {
	var q jobQueue
	require.Zero(t, q.len())
	require.Nil(t, q.peek())
	require.Nil(t, q.pop())
}

// Jobs leave in the order in which they came, wherever the ring wraps or grows.
func TestJobQueueKeepsOrder(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))

	var q jobQueue
	var model []job
	for step := range 10_000 {
		if rnd.IntN(1000) < 520 { // a little more in than out, so that it grows
			j := &probeJob{}
			q.push(j)
			model = append(model, j)
		} else if len(model) > 0 && rnd.IntN(4) == 0 {
			require.Same(t, model[len(model)-1], q.popNewest(), "step %d", step)
			model = model[:len(model)-1]
		} else if len(model) > 0 {
			require.Same(t, model[0], q.peek(), "step %d", step)
			require.Same(t, model[0], q.pop(), "step %d", step)
			model = model[1:]
		}
		require.Equal(t, len(model), q.len(), "step %d", step)
	}
	for _, want := range model {
		require.Same(t, want, q.pop())
	}
	require.Nil(t, q.pop())
}

// A finished job must not be kept alive by the slot it waited in.
func TestJobQueueForgetsWhatItGaveAway(t *testing.T) {
	var q jobQueue
	for range firstRing {
		q.push(&probeJob{})
	}
	for range firstRing {
		q.pop()
	}
	for i, slot := range q.ring {
		require.Nil(t, slot, "slot %d", i)
	}
}

func TestJobQueueDoesNotAllocateOnceGrown(t *testing.T) {
	var q jobQueue
	j := &probeJob{}
	got := testing.AllocsPerRun(100, func() {
		for range 100 {
			q.push(j)
		}
		for range 100 {
			q.pop()
		}
	})
	require.Zero(t, got)
}
