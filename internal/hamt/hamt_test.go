package hamt

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// A table finds what was put into it and not removed, as a map does, and so does each edition of it that was kept.
func TestATableIsLikeAMap(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	var table Table[int]
	want := map[string]*int{}
	for edition := range 20 {
		table.Edition++
		kept, size := table, len(want)
		for range 500 {
			name := fmt.Sprint("f", rng.IntN(2000))
			if rng.IntN(20) >= edition {
				r := new(int)
				table.Put(name, r)
				want[name] = r
			} else {
				table.Remove(name)
				delete(want, name)
			}
		}
		for i := range 2000 {
			name := fmt.Sprint("f", i)
			require.Same(t, want[name], table.Get(name), name)
		}
		table.Edition++
		copied, left := table, 0
		for i := range 2000 {
			copied.Remove(fmt.Sprint("f", i))
			if kept.Get(fmt.Sprint("f", i)) != nil {
				left++
			}
		}
		require.Nil(t, copied.root)
		require.Equal(t, size, left, "an edition that others read does not change")
		table.Edition++ // copied has used the one before
	}
}

// Names whose hashes are the same are told apart all the same.
func TestNamesWithTheSameHash(t *testing.T) {
	a, b := slot[int]{name: "a", only: new(int)}, slot[int]{name: "b", only: new(int)}
	var n *node[int]
	n = n.with(0, a, 5, levelsPerHash-1).with(0, b, 5, levelsPerHash-1)
	for _, s := range []slot[int]{a, b} {
		require.Same(t, s.only, n.find(s.name, 5, levelsPerHash-1))
	}
	n = n.without(1, "a", 5, levelsPerHash-1)
	require.Nil(t, n.find("a", 5, levelsPerHash-1))
	require.Same(t, b.only, n.slots[0].only, "it has moved up")
}
