package ring

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Items leave in the order in which they came, or the newest first, wherever the ring wraps or grows.
func TestRingKeepsOrder(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))

	var r Ring[int]
	var model []int
	require.Zero(t, r.Len())
	for step := range 10_000 {
		if rnd.IntN(1000) < 520 { // a little more in than out, so that it grows
			r.Push(step)
			model = append(model, step)
		} else if len(model) > 0 && rnd.IntN(4) == 0 {
			require.Equal(t, model[len(model)-1], r.PopNewest(), "step %d", step)
			model = model[:len(model)-1]
		} else if len(model) > 0 {
			require.Equal(t, model[0], r.Pop(), "step %d", step)
			model = model[1:]
		}
		require.Equal(t, len(model), r.Len(), "step %d", step)
		for i, want := range model {
			require.Equal(t, want, *r.At(i), "step %d", step)
		}
	}
}

// A finished item must not be kept alive by the place it waited in.
func TestRingForgetsWhatItGaveAway(t *testing.T) {
	var r Ring[*int]
	for range firstRing {
		r.Push(new(int))
	}
	for i := range firstRing {
		if i%2 == 0 {
			r.Pop()
		} else {
			r.PopNewest()
		}
	}
	for i, place := range r.items {
		require.Nil(t, place, "place %d", i)
	}
}

func TestRingDoesNotAllocateOnceGrown(t *testing.T) {
	var r Ring[*int]
	v := new(int)
	got := testing.AllocsPerRun(100, func() {
		for range 100 {
			r.Push(v)
		}
		for range 100 {
			r.Pop()
		}
	})
	require.Zero(t, got)
}
