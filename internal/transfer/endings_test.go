package transfer

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// [FRAG-8] A finished transfer is remembered
func TestEndings(t *testing.T) {
	var e endings
	e.add(5, delivered)
	e.add(3, dropped)
	e.add(5, dropped)
	require.Equal(t, []ending{notEnded, dropped, notEnded, delivered, notEnded},
		[]ending{e.of(2), e.of(3), e.of(4), e.of(5), e.of(6)})

	e.add(5+idsRemembered/2, delivered)
	require.Equal(t, delivered, e.of(5))
	require.Equal(t, dropped, e.of(3))
	e.add(5+2*idsRemembered, dropped)
	require.Equal(t, delivered, e.of(3), "so far back, it counts as delivered")
	require.Equal(t, notEnded, e.of(4+2*idsRemembered), "the memory of others was emptied")
	e.add(4, dropped)
	require.Equal(t, notEnded, e.of(4+2*idsRemembered), "what is forgotten is not recorded in the place of another")
}

// Compared with a map, for ids that rise with leaps, over the wrap.
func TestEndingsRandom(t *testing.T) {
	for range 5 {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		rng := rand.New(rand.NewPCG(seed, 5))
		newest := uint32(1<<32 - 20_000)
		e := endings{newest: newest | 63}
		want := map[uint32]ending{}
		for range 3000 {
			newest += rng.Uint32N(3) * rng.Uint32N(1+200*rng.Uint32N(2))
			id := newest - rng.Uint32N(maxIDSpread)
			require.Equal(t, want[id], e.of(id), "id %d, newest %d", id, newest)
			if want[id] == notEnded {
				want[id] = delivered + ending(rng.IntN(2))
				e.add(id, want[id])
			}
		}
	}
}
